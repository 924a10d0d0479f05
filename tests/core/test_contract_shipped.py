"""The contracts that are shipped: usable, complete, and meaning what domain.md's records say. The registry, the page, the envelope."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from protocol_samples import MANIFEST, RECEIPT

from filesync.contracts import (
    Contract,
    ContractError,
    OnBadRows,
    Registry,
    check_manifest,
    check_receipt,
    check_schema,
    describe,
    load_contract,
)
from filesync.contracts.registry import schemas_folder

Json = Any

DATASETS = ("bdf", "ca", "clientes", "credenciais", "fechamento", "funcionarios", "produtos", "vendas")
CADASTROS = ("clientes", "credenciais", "funcionarios", "produtos")
PACKAGED = Registry.packaged()


def shipped(dataset: str) -> Contract:
    found = PACKAGED.get(dataset, 1)
    assert found is not None
    return found


def problems_of(subject: Contract, document: Json) -> list[tuple[str, str | None]]:
    table, problems, _ = subject.from_documents([document])
    return [(problem.code, problem.pointer) for problem in (*problems, *subject.validate(table).problems())]


SALE: Json = {
    "origem": "caixa-01",
    "venda_id": "0b5f1f3e-6a0a-4a7e-9f43-1c1f8a3f2d11",
    "caixa": "01",
    "serie": "1",
    "numero": 42,
    "data_movimento": "2024-05-06",
    "registrada_em": "2024-05-06T12:34:56-03:00",
    "situacao": "concluida",
    "total_itens_centavos": 300,
    "total_postagens_centavos": 2500,
    "desconto_centavos": 100,
    "total_centavos": 2700,
    "itens": [
        {
            "numero": 1,
            "produto": "85123A",
            "gtin": "7891000100103",
            "quantidade_milesimos": 2000,
            "valor_unitario_centavos": 100,
            "total_centavos": 200,
        },
        {
            "numero": 2,
            "produto": "85123A",
            "quantidade_milesimos": 1000,
            "valor_unitario_centavos": 100,
            "total_centavos": 100,
        },
    ],
    "pagamentos": [
        {"numero": 1, "forma": "01", "valor_centavos": 700},
        {"numero": 2, "forma": "17", "valor_centavos": 2000},
    ],
    "postagens": [
        {
            "numero": 1,
            "codigo_rastreio": "JT365572014BR",
            "servico": "03220",
            "peso_g": 300,
            "cep_destino": "01310930",
            "valor_centavos": 2500,
        },
    ],
}
CLOSE: Json = {
    "origem": "caixa-01",
    "data": "2024-05-06",
    "turno": 1,
    "fechado_em": "2024-05-06T18:05:00-03:00",
    "sem_movimento": False,
    "abertura_centavos": 10000,
    "suprimentos_centavos": 5000,
    "sangrias_centavos": 2000,
    "dinheiro_centavos": 700,
    "esperado_centavos": 13700,
    "contado_centavos": 13600,
    "diferenca_centavos": -100,
    "quantidade_vendas": 1,
    "total_vendas_centavos": 2700,
    "formas": [
        {"forma": "01", "quantidade": 1, "valor_centavos": 700},
        {"forma": "17", "quantidade": 1, "valor_centavos": 2000},
    ],
    "tickets": [{"caixa": "01", "serie": "1", "primeiro": 42, "ultimo": 42, "quantidade": 1}],
    "feeds": [
        {
            "dataset": "vendas",
            "audience": "matriz",
            "epoch": "k3v7q2ma",
            "seq_primeiro": 12,
            "seq_ultimo": 12,
            "lotes": 1,
            "documentos": 1,
        }
    ],
    "linhas": [
        {"dataset": "vendas", "audience": "matriz", "epoch": "k3v7q2ma", "relacao": "itens", "linhas": 2}
    ],
    "totais": [
        {
            "dataset": "vendas",
            "audience": "matriz",
            "epoch": "k3v7q2ma",
            "total": "total_centavos",
            "valor_de": "",
            "valor": 2700,
        },
        {
            "dataset": "vendas",
            "audience": "matriz",
            "epoch": "k3v7q2ma",
            "total": "pagamentos_por_forma_centavos",
            "valor_de": "17",
            "valor": 2000,
        },
    ],
}
IDLE: Json = {
    **{name: value for name, value in CLOSE.items() if not isinstance(value, list)},
    **dict.fromkeys(
        ("dinheiro_centavos", "quantidade_vendas", "total_vendas_centavos", "diferenca_centavos"), 0
    ),
    "sem_movimento": True,
    "esperado_centavos": 13000,
    "contado_centavos": 13000,
}
POSTED: Json = {
    "origem": "matriz",
    "data": "2024-05-06",
    "sub_caixa": "3",
    "numero_atendimento": "1207",
    "sequencia": 1,
    "servico": "03220",
    "codigo_rastreio": "JT365572014BR",
    "quantidade": 1,
    "valor_cobrado_centavos": -2500,
    "modalidade": "A FATURAR",
    "contrato": "9992157880",
    "comprovante": "0012345678",
    "servico_adicional": "001,19",
}
SAMPLES: dict[str, Json] = {
    "vendas": SALE,
    "fechamento": CLOSE,
    "bdf": POSTED,
    "ca": POSTED,
    "produtos": {
        "origem": "matriz",
        "codigo": "85123A",
        "descricao": "Caixa de encomenda nº 2",
        "gtin": "7891000100103",
        "ncm": "48191000",
        "unidade": "UN",
        "preco_centavos": 590,
        "vigencia_inicio": "2024-01-01",
        "ativo": True,
    },
    "clientes": {
        "origem": "matriz",
        "codigo": "000123",
        "nome": "Agência Exemplo Ltda.",
        "documento": "12ABC34501DE35",
        "ativo": True,
        "contratos": [{"contrato": "9992157880", "vigencia_inicio": "2024-01-01"}],
        "cartoes": [{"cartao_postagem": "0067599079", "contrato": "9992157880"}],
    },
    "funcionarios": {
        "origem": "matriz",
        "matricula": "00417",
        "nome": "Ana",
        "papel": "atendente",
        "ativo": True,
    },
    "credenciais": {
        "origem": "matriz",
        "matricula": "00417",
        "senha_argon2id": "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$ZmFrZWhhc2hmYWtlaGFzaGZha2VoYXNoZmFrZWhhc2g",
        "ativo": True,
    },
}


def test_all_of_them_are_shipped() -> None:
    assert PACKAGED.datasets() == DATASETS
    files = {path.name for path in (schemas_folder() / "datasets").iterdir()}
    assert files == {f"{dataset}.v1.json" for dataset in DATASETS}


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_schema_is_usable_and_described(dataset: str) -> None:
    path = schemas_folder() / "datasets" / f"{dataset}.v1.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert check_schema(path) == []
    subject = load_contract(path)
    assert (subject.dataset, subject.version, schema["$id"]) == (
        dataset,
        1,
        f"urn:filesync:contract:{dataset}:1",
    )
    assert subject.key[0] == "origem"
    for relation in subject.relations:
        assert relation.title
        assert relation.description
        for field in relation.fields:
            assert field.title, field.name
            assert field.description.endswith("."), field.name
    assert subject.encrypted == (dataset == "credenciais")
    assert (subject.active_column == "ativo") == (dataset in CADASTROS)
    assert (subject.business_date_column is None) == (dataset in CADASTROS)
    quarantined = dataset in ("vendas", "bdf", "ca")
    assert subject.on_bad_rows is (OnBadRows.QUARANTINE if quarantined else OnBadRows.REJECT)


@pytest.mark.parametrize("dataset", DATASETS)
def test_its_examples_are_right(dataset: str) -> None:
    """An example in a schema that its own pattern refuses would mislead whoever maps a source."""
    subject = shipped(dataset)
    assert problems_of(subject, SAMPLES[dataset]) == []
    for relation in subject.relations:
        for field in relation.fields:
            for example in field.examples:
                document = json.loads(json.dumps(SAMPLES[dataset]))
                if relation is subject.relations[0]:
                    document[field.name] = example
                else:
                    document.setdefault(relation.name, [{}])[0][field.name] = example
                pointers = [pointer for _, pointer in problems_of(subject, document)]
                assert not [pointer for pointer in pointers if pointer and pointer.endswith(f"/{field.name}")]


def test_every_member_of_a_sale_is_asked_for_or_not() -> None:
    subject = shipped("vendas")
    optional = {
        relation.name: {field.name for field in relation.fields if not field.required}
        for relation in subject.relations
    }
    assert optional == {
        "vendas": {"versao", "operador", "cliente"},
        "itens": {"descricao", "gtin", "desconto_centavos"},
        "pagamentos": set(),
        "postagens": {
            "valor_declarado_centavos",
            "contrato",
            "cartao_postagem",
            "sub_caixa",
            "numero_atendimento",
        },
    }
    assert not any(relation.required for relation in subject.relations[1:])


def test_the_claims_of_a_sale() -> None:
    subject = shipped("vendas")
    table, _, _ = subject.from_documents([SALE])
    assert subject.rows(table) == {"vendas": 1, "itens": 2, "pagamentos": 2, "postagens": 1}
    assert subject.totals(table) == {
        "total_centavos": 2700,
        "itens_centavos": 300,
        "itens_quantidade_milesimos": 3000,
        "pagamentos_por_forma_centavos": {"01": 700, "17": 2000},
        "postagens_centavos": 2500,
    }


def changed(document: Json, pointer: str, value: Json) -> Json:
    copy = json.loads(json.dumps(document))
    *path, last = pointer.removeprefix("/").split("/")
    inner = copy
    for step in path:
        inner = inner[int(step) if isinstance(inner, list) else step]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return copy


@pytest.mark.parametrize(
    ("pointer", "value", "problem"),
    [
        ("/origem", "Caixa", ("pattern", "/origem")),
        ("/venda_id", "42", ("format", "/venda_id")),
        ("/versao", 0, ("minimum", "/versao")),
        ("/numero", 0, ("minimum", "/numero")),
        ("/numero", 10**9, ("maximum", "/numero")),
        ("/serie", "a", ("pattern", "/serie")),
        ("/registrada_em", "2024-05-06T12:34:56", ("format", "/registrada_em")),
        ("/data_movimento", "06/05/2024", ("format", "/data_movimento")),
        ("/situacao", "aberta", ("enum", "/situacao")),
        ("/total_centavos", None, ("required", "")),
        ("/total_centavos", 2701, ("rule-total", "")),
        ("/desconto_centavos", -1, ("minimum", "/desconto_centavos")),
        ("/total_itens_centavos", 10**13 + 1, ("maximum", "/total_itens_centavos")),
        ("/itens/0/total_centavos", 201, ("rule-total-itens", "")),
        ("/itens/1/numero", 1, ("line-repeated", "/itens/1")),
        ("/itens/0/gtin", "7891000100104", ("format", "/itens/0/gtin")),
        ("/itens/0/descricao", "x" * 121, ("max-length", "/itens/0/descricao")),
        ("/pagamentos/0/forma", "06", ("enum", "/pagamentos/0/forma")),
        ("/pagamentos/0/valor_centavos", 701, ("rule-pagamentos", "")),
        ("/postagens/0/codigo_rastreio", "JT365572015BR", ("format", "/postagens/0/codigo_rastreio")),
        ("/postagens/0/peso_g", 30001, ("maximum", "/postagens/0/peso_g")),
        ("/postagens/0/valor_centavos", 2501, ("rule-total-postagens", "")),
        ("/postagens/0/cep_destino", "01310-930", ("format", "/postagens/0/cep_destino")),
        ("/novo", 1, ("additional-properties", "")),
    ],
)
def test_a_wrong_sale(pointer: str, value: Json, problem: tuple[str, str]) -> None:
    assert problem in problems_of(shipped("vendas"), changed(SALE, pointer, value))


def test_payments_need_not_add_up_before_a_sale_is_concluded() -> None:
    document = changed(changed(SALE, "/pagamentos/0/valor_centavos", 1), "/situacao", "cancelada")
    assert problems_of(shipped("vendas"), document) == []


def test_a_close() -> None:
    subject = shipped("fechamento")
    assert problems_of(subject, IDLE) == []
    assert problems_of(subject, changed(CLOSE, "/contado_centavos", 13601)) == [("rule-diferenca", "")]
    assert problems_of(subject, changed(CLOSE, "/dinheiro_centavos", 701)) == [("rule-esperado", "")]
    assert problems_of(subject, changed(IDLE, "/quantidade_vendas", 1)) == [("rule-sem-movimento-vendas", "")]
    assert problems_of(subject, changed(IDLE, "/total_vendas_centavos", 1)) == [
        ("rule-sem-movimento-total", "")
    ]


@pytest.mark.parametrize(
    "password",
    [
        "segredo",
        "$2b$12$abcdefghijklmnopqrstuv",
        "$argon2i$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$" + "A" * 43,
    ],
)
def test_a_password_is_an_argon2id_hash_and_is_never_quoted(password: str) -> None:
    subject = shipped("credenciais")
    table, _, _ = subject.from_documents([{**SAMPLES["credenciais"], "senha_argon2id": password}])
    (problem,) = subject.validate(table).problems()
    assert problem.code == "pattern"
    assert password not in problem.message


# --- registry


def test_the_registry_knows_versions(tmp_path: Path) -> None:
    vendas = shipped("vendas")
    newer = json.loads(json.dumps(vendas.schema))
    newer["x-filesync"]["version"] = 2
    (tmp_path / "vendas.v2.json").write_text(json.dumps(newer), encoding="utf-8")
    (tmp_path / "README.json").write_text("{}", encoding="utf-8")
    registry = Registry([vendas], folder=tmp_path)
    assert registry.datasets() == ("vendas",)
    assert registry.get("vendas", 1) is vendas
    latest = registry.latest("vendas")
    assert latest is not None
    assert latest.name == "vendas.v2"
    assert registry.get("vendas", 2) is latest
    assert registry.get("vendas", 3) is None
    assert registry.get("nada", 1) is None
    assert registry.latest("nada") is None
    assert Registry.packaged() is PACKAGED
    assert PACKAGED.get("vendas", 1) is vendas


def test_a_schema_under_a_wrong_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "produtos.v1.json").write_text(json.dumps(shipped("vendas").schema), encoding="utf-8")
    with pytest.raises(ContractError, match=r"expected produtos.v1, got vendas.v1"):
        Registry(folder=tmp_path).get("produtos", 1)
    (tmp_path / "produtos.v1.json").write_text("{", encoding="utf-8")
    with pytest.raises(ContractError, match="not readable as JSON"):
        Registry(folder=tmp_path).get("produtos", 1)


def test_jsonschema_is_loaded_only_when_it_is_needed() -> None:
    """It takes longer to import than a till takes to do its turn."""
    code = (
        "import sys; from filesync.contracts import Registry; c = Registry.packaged().get('vendas', 1); "
        "c.validate(c.arrow_schema.empty_table()); print('jsonschema' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# --- the page


def test_the_page_of_a_contract() -> None:
    page = describe(shipped("vendas"))
    assert (page.name, page.title, page.key) == ("vendas.v1", "Vendas", ("origem", "venda_id"))
    assert [relation.table for relation in page.relations] == [
        "vendas",
        "vendas_itens",
        "vendas_pagamentos",
        "vendas_postagens",
    ]
    fields = {field.name: field for field in page.relations[0].fields}
    assert (fields["numero"].limits, fields["numero"].type, fields["numero"].required) == (
        "1 … 999999999",
        "integer",
        True,
    )
    assert fields["situacao"].limits == "one of concluida, cancelada, devolucao, ajuste"
    assert fields["venda_id"].format == "uuid"
    assert fields["venda_id"].key
    assert fields["operador"].limits == "1 … 40 characters"
    assert fields["versao"].required is False
    assert page.relations[1].lines == "0 … 20000"
    assert [rule.formula for rule in page.rules] == [
        "total_itens_centavos = Σ itens.total_centavos",
        "total_postagens_centavos = Σ postagens.valor_centavos",
        "total_centavos = total_itens_centavos + total_postagens_centavos − desconto_centavos",
        "Σ pagamentos.valor_centavos = total_centavos, when situacao is concluida",
    ]
    assert ("pagamentos_por_forma_centavos", "Σ pagamentos.valor_centavos for each forma") in page.totals
    assert page.continuity == "numero runs without holes for each caixa, serie"
    assert ("bad rows", "bad documents are set aside, the others are applied") in page.policies
    assert ("encryption", "only in batches encrypted to their recipient") in describe(
        shipped("credenciais")
    ).policies
    assert any(topic == "snapshots" for topic, _ in describe(shipped("produtos")).policies)


# --- the envelope


@pytest.mark.parametrize("kind", ["manifest", "receipt"])
def test_the_envelope_is_json_schema(kind: str) -> None:
    schema = json.loads((schemas_folder() / "envelope" / f"{kind}.v1.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["signed"]["required"] == list(schema["properties"]["signed"]["properties"])


def test_manifests_and_receipts_are_checked() -> None:
    manifest, receipt = MANIFEST.to_signed(), RECEIPT.to_signed()
    assert check_manifest({"signed": manifest, "signature": None}) == []
    assert check_receipt({"signed": receipt, "signature": "-----BEGIN SSH SIGNATURE-----"}) == []
    wrong = {"signed": manifest | {"mode": "full", "rows": {"vendas": 1.0}}, "signature": 1, "extra": 0}
    assert sorted((problem.code, problem.pointer) for problem in check_manifest(wrong)) == [
        ("additional-properties", ""),
        ("enum", "/signed/mode"),
        ("type", "/signature"),
        ("type", "/signed/rows/vendas"),
    ]
    assert [problem.code for problem in check_receipt([])] == ["type"]
    assert [
        problem.pointer for problem in check_receipt({"signed": receipt | {"batch": "x"}, "signature": None})
    ] == ["/signed/batch"]
