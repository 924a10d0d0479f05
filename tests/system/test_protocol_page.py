"""docs/protocol.md is true: its examples are the golden files, its tables are what the code does, and the peer in its appendix exchanges
batches with a real station. Whoever writes a peer has nothing but that page."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from network import DAY, Network, rows, sales, table

from filesync import config
from filesync.protocol.admission import Apply, Known, Refuse, Replay, Standing, Wait, WaitReason, admit
from filesync.protocol.envelope import canonical
from filesync.protocol.identity import BatchId, Feed, FileKind, Format, Mode, Role, parse_file_name
from filesync.protocol.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "protocol.md").read_text(encoding="utf-8")
GOLDEN = REPOSITORY / "tests" / "golden"
SOURCE = REPOSITORY / "src" / "filesync"
STEM = "vendas.caixa-01.matriz.k3v7q2ma.0000000012.20250314.c3fdf90f15fe"


def blocks(marker: str) -> list[str]:
    """The fenced blocks behind `<!-- marker -->`, as they would be typed."""
    return re.findall(rf"<!-- {re.escape(marker)} -->\n```\w*\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def cells(marker: str) -> Iterator[list[str]]:
    """The rows of the tables behind `<!-- table: marker -->`, without their heads."""
    for found in re.finditer(rf"<!-- table: {marker} -->\n((?:\|.*\n)+)", PAGE):
        for line in found[1].splitlines()[2:]:
            yield [cell.strip() for cell in line.strip("|").split("|")]


def needs_ssh_keygen() -> str:
    program = shutil.which("ssh-keygen")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("ssh-keygen (OpenSSH client) is not installed: in CI this proof is not optional")
        pytest.skip("ssh-keygen (OpenSSH client) is not installed")
    return program


# --- examples


@pytest.mark.parametrize(
    ("marker", "file"),
    [
        ("manifest", f"{STEM}.manifest.json"),
        ("receipt", f"{STEM}.matriz.receipt.json"),
        ("payload", f"{STEM}.jsonl"),
        ("void", f"{STEM}.void.json"),
        ("caixa-01.pub", "caixa-01.pub"),
        ("matriz.pub", "matriz.pub"),
    ],
)
def test_the_complete_examples_are_the_golden_files(marker: str, file: str) -> None:
    (shown,) = blocks(f"golden: {marker}")
    assert shown.encode() == (GOLDEN / file).read_bytes()
    assert marker.endswith(".pub") or f"`{file}`" in PAGE


def test_the_canonical_bytes_are_made_as_the_page_says() -> None:
    (manifest,) = blocks("golden: manifest")
    signed = json.loads(manifest)["signed"]
    made = json.dumps(signed, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    assert made == canonical(signed)
    assert f"`{hashlib.sha256(made).hexdigest()}`" in PAGE


def test_openssh_verifies_with_the_commands_of_the_page(tmp_path: Path) -> None:
    needs_ssh_keygen()
    if not (shutil.which("python3") and shutil.which("sh")):
        pytest.skip("the commands are for a POSIX shell")
    for name in (f"{STEM}.manifest.json", "caixa-01.pub"):
        shutil.copy(GOLDEN / name, tmp_path)
    (commands,) = blocks("run: verify")
    run = subprocess.run(
        ["sh", "-e"], input=commands, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith('Good "filesync" signature for caixa-01 with ED25519 key SHA256:')


# --- names


def test_every_example_of_a_name_is_what_the_page_says() -> None:
    examples = re.findall(r"^\| `(\S[^`|]*\.(?:jsonl|parquet|json|tmp))` \| (.+) \|$", PAGE, re.MULTILINE)
    assert len(examples) >= 12
    for name, meaning in examples:
        parsed = parse_file_name(name)
        assert (parsed is None) == meaning.startswith("a stranger"), name
        if parsed is not None:
            kinds = {
                "a payload": FileKind.PAYLOAD,
                "its manifest": FileKind.MANIFEST,
                "its void": FileKind.VOID,
                "the matriz' receipt": FileKind.RECEIPT,
            }
            assert parsed.kind is next(kind for words, kind in kinds.items() if meaning.startswith(words))


_GRAMMAR = re.compile(re.findall(r"```regex\n(.*)\n```", PAGE)[0])
_ID = st.sampled_from(
    ["vendas", "caixa-01", "a", "0", "con", "-a", "a-", "A", "a_b", "x" * 24, "x" * 25, "lpt1", ""]
)


@given(
    st.tuples(
        _ID,
        _ID,
        _ID,
        st.sampled_from(["k3v7q2ma", "k3v7q2m", "K3v7q2ma"]),
        st.sampled_from(["0000000001", "0000000000", "1", "9999999999"]),
        st.sampled_from(["20250314", "20250230", "00000101", "2025031"]),
        st.sampled_from(["c3fdf90f15fe", "c3fdf90f15f", "C3FDF90F15FE"]),
    ),
    st.sampled_from(
        [
            "parquet",
            "jsonl",
            "manifest.json",
            "matriz.receipt.json",
            "con.receipt.json",
            "receipt.json",
            "void.json",
            "matriz.void.json",
            "jsonl.tmp",
            "csv",
            "json\n",
        ]
    ),
)
def test_the_regular_expression_and_its_three_conditions_are_the_grammar(
    parts: tuple[str, ...], end: str
) -> None:
    name = ".".join([*parts, end])
    reserved = {"con", "lpt1"} & {*parts[:3], end.split(".", maxsplit=1)[0]}
    exists = parts[5] == "20250314"
    expected = bool(_GRAMMAR.fullmatch(name)) and not reserved and exists and parts[4] != "0000000000"
    assert (parse_file_name(name) is not None) == expected


# --- admission

MANIFEST = Manifest(
    id=BatchId(Feed("caixa-01", "vendas", "matriz"), "k3v7q2ma", 5), version=1, recipients=("matriz",), mode=Mode.DELTA,
    business_date=date(2025, 3, 14), format=Format.JSONL, payload_bytes=1, payload_sha256="0" * 64, rows={}, totals={}, previous="a" * 64,
    replaces=None, sealed_at="2025-03-14T18:02:11-03:00", software="a test",
)  # fmt: skip
FIRST = replace(MANIFEST, id=replace(MANIFEST.id, seq=1), previous=None)
OPENING = replace(MANIFEST, mode=Mode.SNAPSHOT)


def _admit(
    manifest: Manifest, *, sender: str = "caixa-01", may_send: bool = True, known: str | None = None, contract_known: bool = True,
    standing: tuple[int, str | None] | None = (4, "a" * 64), voided: bool = False,
) -> tuple[str, str]:  # fmt: skip
    """The decision and the code, in the words of the page's table."""
    decision = admit(
        manifest, "d" * 64, me="matriz", sender=sender, may_send=may_send, contract_known=contract_known,
        known=None if known is None else Known(known, voided), standing=None if standing is None else Standing(*standing),
    )  # fmt: skip
    match decision:
        case Apply():
            return "**apply**", ""
        case Replay():
            return "**replay**", ""
        case Wait(reason):
            return "wait", f"`{reason.value}`"
        case Refuse(problem):
            return "refuse", f"`{problem.code}`"


def test_the_admission_table_is_what_admission_does() -> None:
    elsewhere = replace(MANIFEST, recipients=("portal",))
    cases = {
        # Each case has all the troubles of the rows below it too: the first row that fits decides.
        1: [
            _admit(elsewhere, sender="caixa-02", may_send=False, known="e" * 64, contract_known=False),
            _admit(MANIFEST, sender="caixa-02", may_send=False, known="d" * 64, contract_known=False),
        ],
        2: [_admit(elsewhere, may_send=False, known="e" * 64, contract_known=False)],
        3: [
            _admit(
                MANIFEST,
                may_send=False,
                known=digest * 64,
                contract_known=False,
                standing=(9, "b" * 64),
                voided=True,
            )
            for digest in "de"
        ],
        4: [_admit(MANIFEST, may_send=False, known="d" * 64, contract_known=False, standing=(9, "b" * 64))],
        5: [_admit(MANIFEST, may_send=False, known="e" * 64, contract_known=False, standing=(9, "b" * 64))],
        6: [_admit(MANIFEST, may_send=False, contract_known=False)],
        7: [
            _admit(MANIFEST, contract_known=False, standing=(9, "b" * 64)),
            _admit(FIRST, contract_known=False, standing=None),
        ],
        8: [
            _admit(FIRST, standing=None),
            _admit(OPENING, standing=None),
            _admit(replace(OPENING, id=FIRST.id), standing=None),
        ],
        9: [_admit(replace(FIRST, previous="a" * 64), standing=None)],
        10: [_admit(MANIFEST, standing=None)],
        11: [_admit(MANIFEST, standing=(9, "b" * 64)), _admit(OPENING, standing=(9, "b" * 64))],
        12: [_admit(replace(OPENING, previous=None), standing=(seq, "b" * 64)) for seq in (1, 4)],
        13: [_admit(MANIFEST, standing=(3, "a" * 64)), _admit(OPENING, standing=(3, "a" * 64))],
        14: [_admit(MANIFEST, standing=(4, "b" * 64)), _admit(OPENING, standing=(4, "b" * 64))],
        15: [_admit(MANIFEST), _admit(OPENING), _admit(MANIFEST, standing=(4, None))],
    }
    written = {int(row[0]): (row[2], row[3]) for row in cells("admission")}
    assert written.keys() == cases.keys()
    for number, decisions in cases.items():
        assert set(decisions) == {written[number]}, f"row {number}"


def test_the_admission_table_says_which_refusals_are_answered() -> None:
    from filesync.exchange.answering import ANSWERED

    answered = {
        row[3].strip("`") for row in cells("admission") if row[2] == "refuse" and row[4] == "REJECTED"
    }
    silent = {row[3].strip("`") for row in cells("admission") if row[2] == "refuse" and row[4] == "none"}
    assert answered == ANSWERED
    assert silent == {"foreign", "not-for-us"}


# --- codes


def _codes() -> Iterator[str]:
    """Codes that the packages which judge files and rows give to problems, read from their source."""
    makers = {"Problem", "RejectedError", "DamagedError", "SignatureError", "_Misfit", "UnknownFormatError"}
    for package in ("protocol", "contracts", "readers", "writers", "exchange", "sources"):
        for path in sorted((SOURCE / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                name = node.func.id if isinstance(node.func, ast.Name) else ""
                given = [
                    *(node.args[:1] if name in makers else []),
                    *(kw.value for kw in node.keywords if kw.arg == "code"),
                ]
                given += node.args[2:4] if name in {"Held", "InboxItem"} else []
                given += node.args[:1] if (name, path.stem) == ("_refuse", "admission") else []
                for value in given:
                    if isinstance(value, ast.Constant) and isinstance(value.value, str):
                        yield value.value
    yield from (reason.value for reason in WaitReason)


def _constants() -> set[str]:
    nodes = (
        node
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _kebab(keyword: str) -> str:
    return re.sub("[A-Z]", lambda found: f"-{found[0].lower()}", keyword)


def test_every_code_is_in_the_table_and_no_other_is() -> None:
    documented = {code for row in cells("codes") for code in re.findall(r"`([^`]+)`", row[0])}
    states = {"ready", "known", "receipt", "waiting", "refused"}  # of `filesync inbox`, no problems
    missing = set(_codes()) - states - documented
    assert missing == set(), "codes that docs/protocol.md does not explain"
    keywords = {
        "type", "required", "additionalProperties", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
        "minLength", "maxLength", "pattern", "format", "minItems", "maxItems",
    }  # fmt: skip
    invented = documented - _constants() - set(map(_kebab, keywords)) - {"rule-<name>"}
    assert invented == set(), "codes that nothing produces"
    assert set(map(_kebab, keywords)) <= documented


# --- the peer


class Peer:
    """The program of the appendix, run as its reader would run it: another process, the standard library, pyarrow and ssh-keygen."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.program = root.parent / "peer.py"
        self.program.write_text("\n\n".join(blocks("file: peer.py")), encoding="utf-8")
        root.mkdir(parents=True)

    def __call__(self, *arguments: Path) -> str:
        run = subprocess.run(
            [sys.executable, "-W", "error", self.program, self.root, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.root,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    def sell(self, documents: list[dict[str, object]]) -> str:
        path = self.root / "dia.jsonl"
        path.write_text(
            "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents),
            encoding="utf-8",
        )
        return self(path)

    def query(self, question: str) -> list[list[object]]:
        """Asked in another process: this one has a SQLite library already."""
        program = f"import json, sqlite3; print(json.dumps(sqlite3.connect('peer.db').execute({question!r}).fetchall()))"
        run = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=self.root
        )
        found: list[list[object]] = json.loads(run.stdout)
        return found

    def files(self, folder: str) -> dict[str, bytes]:
        return {
            path.name: path.read_bytes() for path in sorted((self.root / folder).glob("*")) if path.is_file()
        }


@pytest.fixture
def peer(network: Network) -> Peer:
    """The appendix' till, and a matriz that comes to it; each has pinned the other's key."""
    keygen = needs_ssh_keygen()
    network.site("matriz", Role.MATRIZ)
    made = Peer(network.root / "caixa-09")
    subprocess.run(
        [keygen, "-q", "-t", "ed25519", "-N", "", "-C", "caixa-09", "-f", made.root / "key"],
        check=True,
        capture_output=True,
    )
    network.peer("matriz", "caixa-09", Role.CAIXA, link="../caixa-09", pin=False)
    pinned = config.pinned_path(network.root / "matriz", "caixa-09")
    pinned.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(made.root / "key.pub", pinned)
    public = config.key_path(network.root / "matriz").with_suffix(".pub").read_text(encoding="utf-8")
    (made.root / "allowed_signers").write_text(f'matriz namespaces="filesync" {public}', encoding="utf-8")
    return made


GOODS = [
    {"origem": "matriz", "codigo": f"P{n}", "descricao": f"Envelope nº {n}", "unidade": "UN", "preco_centavos": 150 * n,
     "vigencia_inicio": "2026-01-01", "ativo": True}
    for n in range(1, 5)
]  # fmt: skip


def test_the_peer_of_the_appendix_imports_nothing_of_ours() -> None:
    tree = ast.parse("\n\n".join(blocks("file: peer.py")))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {module.split(".")[0] for module in modules} - sys.stdlib_module_names == {"pyarrow"}


def test_the_peer_of_the_appendix_sends_sales_and_takes_products(network: Network, peer: Peer) -> None:
    sold = sales("caixa-09", count=9)
    peer.sell(sold[:6])
    network["matriz"].seal("produtos", table(GOODS, "produtos"), full=True)
    assert [batch.verdict.value for batch in network["matriz"].turn().imported.applied] == ["APPLIED"]
    assert rows(network["matriz"]) == sorted(sold[:6], key=lambda sale: str(sale["venda_id"]))
    assert "APPLIED vendas.caixa-09.matriz.m5x2k8qd.0000000001." in peer()
    assert peer.query(
        "select codigo, json_extract(documento, '$.preco_centavos') from produto order by 1"
    ) == [[f"P{n}", 150 * n] for n in range(1, 5)]
    assert len(network["matriz"].turn().imported.settled) == 1
    assert peer.files("outbox/matriz") == {}, (
        "answered batches have left, and so has the receipt that was fetched"
    )

    # The chain goes on, in both directions; a product that is gone becomes inactive.
    peer.sell(sold[6:])
    network["matriz"].seal("produtos", table(GOODS[1:], "produtos"), full=True)
    network["matriz"].turn()
    assert "0000000002" in peer()
    network["matriz"].turn()
    assert len(rows(network["matriz"])) == 9
    assert peer.query("select codigo, json_extract(documento, '$.ativo') from produto order by 1") == [
        ["P1", 0],
        ["P2", 1],
        ["P3", 1],
        ["P4", 1],
    ]
    status = network["matriz"].status()
    assert (status.outbox, status.inbox, status.quarantine, status.warnings) == ((), (), (), ())


def test_the_peer_of_the_appendix_survives_what_the_page_says(network: Network, peer: Peer) -> None:
    matriz = network["matriz"]
    peer.sell(sales("caixa-09", count=4))
    before = peer.files("outbox/matriz")
    for path in (peer.root / "outbox" / "matriz").glob("*.manifest.json"):
        path.unlink()
    peer()
    assert peer.files("outbox/matriz") == before, (
        "a manifest is published again from the ledger, byte for byte"
    )

    for day in range(2):
        matriz.seal(
            "produtos", table([{**goods, "preco_centavos": 100 + day} for goods in GOODS], "produtos"), DAY
        )
    matriz.turn()
    arrived = peer.files("inbox/matriz")
    first, second = (name for name in arrived if name.endswith(".parquet"))
    inbox = peer.root / "inbox" / "matriz"
    (inbox / first).write_bytes(arrived[first][:-1])
    assert "damaged" in peer()
    assert peer.query("select count(*) from produto") == [[0]], "the second waits for the first"
    matriz.turn()
    peer()
    assert peer.query("select distinct json_extract(documento, '$.preco_centavos') from produto") == [[101]]
    answers = {
        name: data for name, data in peer.files("outbox/matriz").items() if name.endswith(".receipt.json")
    }
    assert len(answers) == 2

    # Twice, and forged.
    for name in answers:
        (peer.root / "outbox" / "matriz" / name).unlink()
    for name, data in arrived.items():
        if not name.endswith(".receipt.json"):
            (inbox / name).write_bytes(data)
    peer()
    assert {name: peer.files("outbox/matriz").get(name) for name in answers} == answers, (
        "the same answer, byte for byte"
    )
    forged = f"{second.removesuffix('.parquet')}.manifest.json"
    (inbox / forged).write_bytes(arrived[forged].replace(b'"mode":"delta"', b'"mode":"snapshot"'))
    assert "set aside" in peer()
    assert len(matriz.turn().imported.settled) == 2
    assert matriz.status().quarantine == ()
