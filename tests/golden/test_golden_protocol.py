"""Names, manifest and receipt byte for byte as every peer has them on disk: the folder protocol, version 1.

A failure here means that other programs and older sites no longer understand this one. The files beside this test are
not to be regenerated to make it pass: another form on disk is another format version (docs/protocol.md).
"""

import hashlib
import os
import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from filesync.protocol.envelope import canonical, decode, encode, sha256_hex
from filesync.protocol.identity import BatchId, BatchName, Feed, FileKind, Format, Mode, parse_file_name
from filesync.protocol.manifest import Manifest
from filesync.protocol.receipt import Problem, Receipt, Verdict
from filesync.protocol.signing import PublicKey, SigningKey
from filesync.protocol.void import Void

FOLDER = Path(__file__).parent
STEM = "vendas.caixa-01.matriz.k3v7q2ma.0000000012.20250314.c3fdf90f15fe"

# Test keys, known to everyone: 32 equal bytes.
CAIXA = SigningKey(Ed25519PrivateKey.from_private_bytes(b"\x01" * 32))
MATRIZ = SigningKey(Ed25519PrivateKey.from_private_bytes(b"\x02" * 32))

PAYLOAD = (FOLDER / f"{STEM}.jsonl").read_bytes()

MANIFEST = Manifest(
    id=BatchId(Feed("caixa-01", "vendas", "matriz"), "k3v7q2ma", 12),
    version=1,
    recipients=("matriz", "portal"),
    mode=Mode.DELTA,
    business_date=date(2025, 3, 14),
    format=Format.JSONL,
    payload_bytes=len(PAYLOAD),
    payload_sha256=sha256_hex(PAYLOAD),
    rows={"vendas": 1, "itens": 1, "pagamentos": 1, "postagens": 0},
    totals={
        "total_centavos": 1250,
        "itens_centavos": 1250,
        "itens_quantidade_milesimos": 1000,
        "pagamentos_por_forma_centavos": {"17": 1250},
        "postagens_centavos": 0,
    },
    previous="5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9",
    replaces="vendas.caixa-01.matriz.k3v7q2ma.0000000011.20250314.6b86b273ff34",
    sealed_at="2025-03-14T18:02:11-03:00",
    software="filesync 0.1.0",
)

RECEIPT = Receipt(
    batch=MANIFEST.name.stem,
    manifest_sha256=sha256_hex(canonical(MANIFEST.to_signed())),
    payload_sha256=MANIFEST.payload_sha256,
    recipient="matriz",
    verdict=Verdict.PARTIAL,
    rows={"vendas": 0, "itens": 0, "pagamentos": 0, "postagens": 0},
    totals={
        "total_centavos": 0,
        "itens_centavos": 0,
        "itens_quantidade_milesimos": 0,
        "pagamentos_por_forma_centavos": {},
        "postagens_centavos": 0,
    },
    problems=(
        Problem("pattern", 'caixa: expected ^[0-9A-Za-z]…, got "balcão 1"', "vendas", 0, "/caixa"),
        Problem("payload-unreadable", "line 2: expected JSON\n\tgot 𝄞"),
    ),
    applied_through=12,
    missing=(14, 15),
    received_at="2025-03-14T18:05:00-03:00",
    applied_at="2025-03-14T18:05:01.250000-03:00",
    clock="2025-03-14T18:05:01.250000-03:00",
    contract="vendas.v1",
    software="filesync 0.1.0",
)

MANIFEST_FILE = f"{STEM}.manifest.json"
RECEIPT_FILE = f"{STEM}.matriz.receipt.json"
VOID_FILE = f"{STEM}.void.json"

VOID = Void.of(
    MANIFEST,
    RECEIPT.manifest_sha256,
    reason="o disco do caixa quebrou",
    by="Ana",
    at="2025-03-21T09:00:00-03:00",
    software="filesync 0.1.0",
)


def test_void_file() -> None:
    assert MANIFEST.name.void == VOID_FILE
    data = (FOLDER / VOID_FILE).read_bytes()
    assert encode(VOID.to_signed(), CAIXA) == data
    envelope = decode(data)
    CAIXA.public.verify(envelope.canonical, envelope.signature)
    assert Void.from_signed(envelope.signed) == VOID


def test_file_names() -> None:
    assert MANIFEST.name.stem == STEM
    assert MANIFEST.payload_file == f"{STEM}.jsonl"
    assert MANIFEST.name.payload(Format.PARQUET) == f"{STEM}.parquet"
    assert MANIFEST.name.manifest == MANIFEST_FILE
    assert MANIFEST.name.receipt("matriz") == RECEIPT_FILE
    read = {
        path.name: parse_file_name(path.name) for path in FOLDER.iterdir() if path.name.startswith("vendas.")
    }
    assert {
        name: found and (found.batch, found.kind, found.format, found.recipient)
        for name, found in read.items()
    } == {
        f"{STEM}.jsonl": (MANIFEST.name, FileKind.PAYLOAD, Format.JSONL, None),
        MANIFEST_FILE: (MANIFEST.name, FileKind.MANIFEST, None, None),
        RECEIPT_FILE: (MANIFEST.name, FileKind.RECEIPT, None, "matriz"),
        VOID_FILE: (MANIFEST.name, FileKind.VOID, None, None),
    }
    assert BatchName.parse(STEM) == MANIFEST.name


def test_manifest_file() -> None:
    golden = (FOLDER / MANIFEST_FILE).read_bytes()
    assert encode(MANIFEST.to_signed(), CAIXA) == golden
    envelope = decode(golden)
    assert Manifest.from_signed(envelope.signed) == MANIFEST
    CAIXA.public.verify(envelope.canonical, envelope.signature)
    assert (
        hashlib.sha256(envelope.canonical).hexdigest()
        == "34098724b73207c46f39a6e68ec59210855a0eb75a1c9db3406a827b6bd953b3"
    )


def test_receipt_file() -> None:
    golden = (FOLDER / RECEIPT_FILE).read_bytes()
    assert encode(RECEIPT.to_signed(), MATRIZ) == golden
    envelope = decode(golden)
    assert Receipt.from_signed(envelope.signed) == RECEIPT
    MATRIZ.public.verify(envelope.canonical, envelope.signature)
    assert RECEIPT.manifest_sha256 == sha256_hex(decode((FOLDER / MANIFEST_FILE).read_bytes()).canonical)


def test_unsigned_form() -> None:
    signed = canonical(MANIFEST.to_signed())
    assert encode(MANIFEST.to_signed(), None) == b'{"signature":null,"signed":' + signed + b"}\n"


def test_public_keys() -> None:
    for key, name in ((CAIXA, "caixa-01"), (MATRIZ, "matriz")):
        line = (FOLDER / f"{name}.pub").read_text(encoding="ascii")
        assert key.public.to_openssh(name) + "\n" == line
        assert PublicKey.from_openssh(line) == key.public


@pytest.mark.parametrize(("file", "site"), [(MANIFEST_FILE, "caixa-01"), (RECEIPT_FILE, "matriz")])
def test_openssh_verifies_the_files(tmp_path: Path, file: str, site: str) -> None:
    program = shutil.which("ssh-keygen")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("ssh-keygen (OpenSSH client) is not installed: in CI this proof is not optional")
        pytest.skip("ssh-keygen (OpenSSH client) is not installed")
    envelope = decode((FOLDER / file).read_bytes())
    assert envelope.signature is not None
    (tmp_path / "sig").write_text(envelope.signature, encoding="ascii", newline="")
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(f"{site} {(FOLDER / f'{site}.pub').read_text(encoding='ascii')}", encoding="ascii")
    subprocess.run(
        [program, "-Y", "verify", "-f", allowed, "-I", site, "-n", "filesync", "-s", tmp_path / "sig"],
        input=envelope.canonical,
        check=True,
        capture_output=True,
        timeout=30,
    )
