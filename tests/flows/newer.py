"""Contracts of tomorrow: `vendas` v2 and v3 and `produtos` v2, put into the schemas/ folder of a site as its upgrade would."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from filesync.contracts import Contract, Registry

if TYPE_CHECKING:
    import pyarrow as pa
    from network import Network

    from filesync.exchange.station import Station

Json = Any


def _packaged(dataset: str) -> Json:
    contract = Registry.packaged().latest(dataset)
    assert contract is not None
    return copy.deepcopy(contract.schema)


def vendas_v2() -> Json:
    """Where a sale was made (`canal`), what its sending costs (`frete_centavos`, which is part of the total), lots of items, parcels, form 20."""
    schema = _packaged("vendas")
    schema["$id"] = "urn:filesync:contract:vendas:2"
    notes = schema["x-filesync"]
    notes["version"] = 2
    schema["properties"]["canal"] = {"type": "string", "enum": ["balcao", "web"]}
    schema["properties"]["frete_centavos"] = {"$ref": "#/$defs/centavos_nao_negativos"}
    schema["properties"]["itens"]["items"]["properties"]["lote"] = {"type": "string", "maxLength": 20}
    schema["properties"]["volumes"] = {
        "type": "array",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["numero", "peso_g"],
            "properties": {"numero": {"$ref": "#/$defs/linha"}, "peso_g": {"type": "integer", "minimum": 1}},
        },
    }
    notes["lines"]["volumes"] = ["numero"]
    schema["$defs"]["forma"]["enum"].append("20")
    notes["totals"]["frete_centavos"] = {"sum": "frete_centavos"}
    total = next(rule for rule in notes["rules"] if rule["name"] == "total")
    total["right"].append("frete_centavos")
    return schema


def vendas_v3() -> Json:
    """A discount card on top."""
    schema = vendas_v2()
    schema["x-filesync"]["version"] = 3
    schema["properties"]["cartao_fidelidade"] = {"type": "string", "maxLength": 20}
    return schema


def produtos_v2() -> Json:
    """A brand."""
    schema = _packaged("produtos")
    schema["x-filesync"]["version"] = 2
    schema["properties"]["marca"] = {"type": "string", "maxLength": 40}
    return schema


def teach(network: Network, site: str, *schemas: Json) -> Station:
    """Upgrade a site: it knows these versions from now on."""
    folder = network.root / site / "schemas"
    folder.mkdir(exist_ok=True)
    for schema in schemas:
        notes = schema["x-filesync"]
        path = folder / f"{notes['dataset']}.v{notes['version']}.json"
        path.write_text(json.dumps(schema), encoding="utf-8")
    return network.reopen(site)


def forget(network: Network, site: str, *names: str) -> Station:
    """Go back to the older program."""
    for name in names:
        (network.root / site / "schemas" / f"{name}.json").unlink()
    return network.reopen(site)


def newer(sale: Json, **more: Json) -> Json:
    """The sale with something that only a newer version can say: made on the web, unless another member is named."""
    changed = copy.deepcopy(sale)
    changed.update(more or {"canal": "web"})
    changed["total_centavos"] += changed.get("frete_centavos", 0) - sale.get("frete_centavos", 0)
    if more.get("frete_centavos") and changed["situacao"] == "concluida":
        paid = changed.setdefault("pagamentos", [])
        numero = max((line["numero"] for line in paid), default=0) + 1
        paid.append({"numero": numero, "forma": "01", "valor_centavos": more["frete_centavos"]})
    return changed


def as_table(schema: Json, documents: list[Json]) -> pa.Table:
    """Documents as a table of that version."""
    table, problems, _ = Contract.from_schema(schema).from_documents(documents)
    assert not problems, problems
    return table


def held(station: Station, dataset: str = "vendas", version: int | None = None) -> list[Json]:
    """What the site's store holds, read with that version of the contract (None: the newest that the site knows)."""
    contracts = station.context.contracts
    contract = contracts.latest(dataset) if version is None else contracts.get(dataset, version)
    assert contract is not None
    found = [d for chunk in station.context.store.read_documents(contract) for d in contract.documents(chunk)]
    return sorted(found, key=lambda d: [str(d[name]) for name in contract.key])
