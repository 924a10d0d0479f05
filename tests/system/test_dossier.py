"""A day's dossier in the hands of somebody who has only the zip and the matriz' public key, and of somebody who changes it."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cli_shop import DAY, Shop, filesync, open_shop

from filesync.day import bundle, report, routine
from filesync.day.dossier import write_dossier
from filesync.day.reconciling import reconcile
from filesync.exchange.station import Station
from filesync.protocol.envelope import encode
from filesync.protocol.signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Path]:
    """A complete day with an override, a gate opening and a reconciliation; and its dossier. Not to be changed."""
    shop = open_shop(tmp_path_factory.mktemp("dossier"))
    shop.sell(count=9)
    shop.at_caixa("close", "--date", DAY.isoformat(), "--contado", "100,00")
    shop.at_caixa("turn")
    shop.at_matriz("receive-remote", "--date", DAY.isoformat())
    shop.at_matriz(
        "override", "conciliar", "--date", DAY.isoformat(), "--reason", "sem arquivos", "--by", "Ana", "--confirmed-by", "Bruno",
    )  # fmt: skip
    with Station.open(shop.matriz) as station:
        reconcile(station.context, DAY)
    target = shop.root / "dia.zip"
    shop.at_matriz("dossier", "--date", DAY.isoformat(), target)
    return shop, target


@pytest.fixture
def dossier(made: tuple[Shop, Path], tmp_path: Path) -> tuple[Shop, Path]:
    """The same, to be harmed."""
    shop, original = made
    return shop, Path(shutil.copy(original, tmp_path / "dia.zip"))


def files_of(path: Path) -> Files:
    with zipfile.ZipFile(path) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


def named(files: Files, beginning: str) -> str:
    return next(name for name in sorted(files) if name.startswith(beginning))


def zip_up(path: Path, files: Files) -> Path:
    """As somebody else's program would."""
    with zipfile.ZipFile(path, "w") as zipped:
        for name, data in files.items():
            zipped.writestr(name, data)
    return path


def signed_again(shop: Shop, path: Path, files: Files, **facts: Any) -> Path:
    """As a matriz that lies would: its own key over papers that do not agree."""
    key = SigningKey.from_openssh((shop.matriz / "keys" / "site_ed25519").read_bytes())
    index = json.loads(files["INDEX.json"])
    own = {
        name: data
        for name, data in files.items()
        if name not in ("INDEX.json", "INDEX.json.sig", "SHA256SUMS")
    }
    kept = {k: v for k, v in index.items() if k not in ("files", "format", "kind")}
    bundle.write(path, dict(own), kept | facts, key)
    return path


def verify(shop: Shop, path: Path, *more: Any, code: int = 0, key: str = "matriz") -> list[dict[str, Any]]:
    checks: list[dict[str, Any]] = filesync(
        "verify", path, "--key", shop.root / f"{key}.pub", *more, "--json", code=code
    ).json["checks"]
    return checks


def wrong(shop: Shop, path: Path) -> dict[str, str]:
    """What is wrong, by file; there must be something."""
    return {check["file"]: check["what"] for check in verify(shop, path, code=1) if check["passed"] is False}


# ------------------------------------------------------------------------------------------------ as it was made


def test_it_holds_everything_that_the_day_stands_on(made: tuple[Shop, Path]) -> None:
    _, path = made
    files = files_of(path)
    kinds = {name.split("/")[0] for name in files}
    assert kinds == {
        "README.txt", "SHA256SUMS", "INDEX.json", "INDEX.json.sig", "allowed_signers", "keys", "manifests", "receipts", "closings",
        "evidence", "batches.json", "closings.json", "day.json", "reconciliation.json", "reconciliation.csv",
    }  # fmt: skip
    assert sum(name.startswith("manifests/") for name in files) == 2
    assert sum(name.startswith("receipts/") for name in files) == 2
    page = json.loads(files["day.json"])
    assert page["overrides"][0]["reason"] == "sem arquivos"
    assert json.loads(files["INDEX.json"])["complete"] is True
    (closing,) = json.loads(files["closings.json"])
    assert closing["contado_centavos"] == 10_000


def test_whoever_has_the_zip_and_the_key_can_check_it_without_the_site(
    made: tuple[Shop, Path], tmp_path: Path
) -> None:
    shop, path = made
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    shutil.copy(path, alone)
    shutil.copy(shop.root / "matriz.pub", alone)
    run = filesync("verify", alone / "dia.zip", "--key", alone / "matriz.pub")
    assert "each byte as it was signed" in run.out
    assert "each signed by whose it is" in run.out
    assert "every batch that they name is here" in run.out
    assert "WRONG" not in run.out
    assert run.out.rstrip().endswith("Nothing is wrong with what could be checked.")
    assert '*** OVERRIDE no. 1 of conciliar: "sem arquivos", by Ana, confirmed by Bruno' in run.out


def test_ssh_keygen_and_sha256sum_alone_can_check_it(made: tuple[Shop, Path], tmp_path: Path) -> None:
    shop, path = made
    with zipfile.ZipFile(path) as zipped:
        zipped.extractall(tmp_path)
    signers = tmp_path / "mine"
    signers.write_text(f"matriz {(shop.root / 'matriz.pub').read_text()}")
    for allowed in (signers, tmp_path / "allowed_signers"):
        signature = str(tmp_path / "INDEX.json.sig")
        command = ["ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", "matriz", "-n", "filesync", "-s", signature]  # fmt: skip
        index = (tmp_path / "INDEX.json").read_bytes()
        assert subprocess.run(command, input=index, capture_output=True, check=False).returncode == 0
        assert subprocess.run(command, input=index + b" ", capture_output=True, check=False).returncode != 0
    sums = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert sums.returncode == 0, sums.stdout
    listed = {file["name"] for file in json.loads(index)["files"]} - {"SHA256SUMS"}
    assert {line.split(":")[0] for line in sums.stdout.splitlines()} == listed
    assert filesync("verify", *(tmp_path / "manifests").iterdir(), *(tmp_path / "receipts").iterdir(), code=1)


def test_made_again_it_is_the_same_byte_for_byte(made: tuple[Shop, Path], tmp_path: Path) -> None:
    shop, path = made
    run = shop.at_matriz("dossier", "--date", DAY.isoformat(), tmp_path / "again.zip", "--json")
    assert (tmp_path / "again.zip").read_bytes() == path.read_bytes()
    assert run.json["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert run.json["absent"] == []
    assert run.json["complete"] is True


def test_without_a_key_it_says_that_nobody_vouches_for_it(made: tuple[Shop, Path]) -> None:
    _, path = made
    run = filesync("verify", path)
    assert "-     signature: the day 2026-03-02 of matriz" in run.out
    assert "give --key FILE" in run.out


def test_another_sites_key_is_not_enough(made: tuple[Shop, Path]) -> None:
    shop, path = made
    checks = verify(shop, path, code=1, key="caixa-01")
    assert [c["file"] for c in checks if c["passed"] is False] == ["INDEX.json"]


# ------------------------------------------------------------------------------------------------ changed by somebody


def test_each_file_that_is_changed_missing_or_renamed_is_named(dossier: tuple[Shop, Path]) -> None:
    shop, path = dossier
    files = files_of(path)
    for name, data in files.items():
        changed = data[:-2] + bytes([data[-2] ^ 1]) + data[-1:]
        at = {"INDEX.json": path.name, "INDEX.json.sig": "INDEX.json"}.get(name, name)
        assert at in wrong(shop, zip_up(path, {**files, name: changed})), name
        rest = {other: content for other, content in files.items() if other != name}
        if name != "INDEX.json":
            assert name in wrong(shop, zip_up(path, rest)), name
            found = wrong(shop, zip_up(path, {**rest, f"{name}.bak": data}))
            assert {name, f"{name}.bak"} <= found.keys(), name


def test_a_file_that_was_added_is_named(dossier: tuple[Shop, Path]) -> None:
    shop, path = dossier
    assert wrong(shop, zip_up(path, {**files_of(path), "evidence/more.json": b"{}"})) == {
        "evidence/more.json": "bytes"
    }


def test_a_byte_anywhere_in_the_zip_is_found(dossier: tuple[Shop, Path]) -> None:
    shop, path = dossier
    data = path.read_bytes()
    for place in (10, 14, len(data) // 3, len(data) // 2, len(data) - 40, len(data) - 1):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert wrong(shop, path), place
    path.write_bytes(data + b"\0")
    assert wrong(shop, path)
    path.write_bytes(data[:-30])
    assert wrong(shop, path) == {"dia.zip": "zip"}


def test_an_index_signed_by_somebody_else_is_found(dossier: tuple[Shop, Path]) -> None:
    """The forger changes a file, makes the index anew, and signs it with a key of his own that he puts in as the matriz'."""
    shop, path = dossier
    files = files_of(path)
    forger = SigningKey.generate()
    index = json.loads(files["INDEX.json"])
    own = {
        name: data
        for name, data in files.items()
        if name not in ("INDEX.json", "INDEX.json.sig", "SHA256SUMS")
    }
    page = json.loads(own["day.json"])
    own["day.json"] = json.dumps({**page, "overrides": []}).encode()
    own["keys/matriz.pub"] = forger.public.to_openssh("matriz").encode() + b"\n"
    kept = {k: v for k, v in index.items() if k not in ("files", "format", "kind")}
    bundle.write(path, dict(own), kept, forger)
    assert wrong(shop, path)["INDEX.json"] == "signature"


# ------------------------------------------------------------------------------------------------ a matriz that lies


def _other_receipt(files: Files, shop: Shop) -> None:
    name = named(files, "receipts/vendas")
    key = SigningKey.from_openssh((shop.matriz / "keys" / "site_ed25519").read_bytes())
    signed = json.loads(files[name])["signed"]
    files[name] = encode({**signed, "totals": {**signed["totals"], "total_centavos": 1}}, key)


def _receipt_for_another_manifest(files: Files, shop: Shop) -> None:
    name = named(files, "receipts/vendas")
    key = SigningKey.from_openssh((shop.matriz / "keys" / "site_ed25519").read_bytes())
    files[name] = encode({**json.loads(files[name])["signed"], "manifest_sha256": "0" * 64}, key)


def _manifest_changed(files: Files, _: Shop) -> None:
    name = named(files, "manifests/vendas")
    files[name] = files[name].replace(b'"mode":"delta"', b'"mode":"snapshot"')


def _manifest_signed_by_the_matriz(files: Files, shop: Shop) -> None:
    name = named(files, "manifests/vendas")
    key = SigningKey.from_openssh((shop.matriz / "keys" / "site_ed25519").read_bytes())
    signed = json.loads(files[name])["signed"]
    files[name] = encode({**signed, "totals": {**signed["totals"], "total_centavos": 1}}, key)


def _manifest_left_out(files: Files, _: Shop) -> None:
    del files[named(files, "manifests/vendas")]


def _closing_file_changed(files: Files, _: Shop) -> None:
    name = named(files, "closings/")
    files[name] = files[name][:-1] + b"x"


def _opening_changed(files: Files, _: Shop) -> None:
    name = named(files, "evidence/")
    files[name] = files[name].replace(b'"day":"2026-03-02"', b'"day":"2026-03-03"')


def _row_left_out_of_the_reconciliation(files: Files, _: Shop) -> None:
    lines = files["reconciliation.csv"].splitlines(keepends=True)
    files["reconciliation.csv"] = b"".join(lines[:-1])


@pytest.mark.parametrize(
    ("lie", "what", "file"),
    [
        (_other_receipt, "digest", "receipts/vendas"),
        (_receipt_for_another_manifest, "manifest", "receipts/vendas"),
        (_manifest_changed, "signature", "manifests/vendas"),
        (_manifest_signed_by_the_matriz, "digest", "manifests/vendas"),
        (_manifest_left_out, "digest", "manifests/vendas"),
        (_closing_file_changed, "sha256", "closings/fechamento"),
        (_opening_changed, "signature", "evidence/"),
        (_row_left_out_of_the_reconciliation, "rows", "reconciliation.csv"),
    ],
)
def test_papers_that_do_not_agree_are_named_although_the_matriz_signed_them(
    dossier: tuple[Shop, Path], lie: Callable[[Files, Shop], None], what: str, file: str
) -> None:
    shop, path = dossier
    files = files_of(path)
    lie(files, shop)
    signed_again(shop, path, files)
    found = [c for c in verify(shop, path, code=1) if c["passed"] is False]
    assert any(c["what"] == what and c["file"].startswith(file) for c in found), found
    assert all(c["file"] != "INDEX.json" for c in found), "its signature is good"


def test_a_batch_that_a_close_names_and_that_is_not_there_is_said(dossier: tuple[Shop, Path]) -> None:
    shop, path = dossier
    files = files_of(path)
    ledger = json.loads(files["batches.json"])
    gone = next(batch for batch in ledger["batches"] if batch["name"].startswith("vendas"))
    ledger["batches"].remove(gone)
    files["batches.json"] = json.dumps(ledger).encode()
    del files[named(files, "manifests/vendas")], files[named(files, "receipts/vendas")]
    signed_again(shop, path, files)
    checks = verify(shop, path)
    assert any("caixa-01 closed with 1 batches of vendas; 0 of them are here" in c["detail"] for c in checks)
    assert any(
        c["file"].startswith("evidence/") and "not in the ledger's list" in c["detail"] for c in checks
    )


@pytest.mark.parametrize("name", ["batches.json", "closings.json", "day.json", "reconciliation.json"])
@pytest.mark.parametrize(
    "data", [b"[]", b"{}", b"7", b'{"batches": 7, "voids": 7}', b"[[1]]", b"\xff", b"[" * 9_000]
)
def test_papers_in_another_form_are_told_and_break_nothing(
    dossier: tuple[Shop, Path], name: str, data: bytes
) -> None:
    shop, path = dossier
    signed_again(shop, path, {**files_of(path), name: data})
    assert filesync("verify", path, "--key", shop.root / "matriz.pub", code=None).code in (0, 1)


# ------------------------------------------------------------------------------------------------ what is not there


def test_a_manifest_that_left_the_archive_is_said_to_be_absent(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    shop.sell(count=3)
    shop.at_caixa("turn")
    shop.at_matriz("turn")
    manifest = next((shop.matriz / "archive" / f"{DAY:%Y/%m/%d}").glob("*.manifest.json"))
    manifest.unlink()
    run = shop.at_matriz("dossier", "--date", DAY.isoformat(), tmp_path / "d.zip", code=1)
    assert f"absent: manifests/{manifest.name}" in run.out
    assert "The day is not complete" in run.out
    checks = verify(shop, tmp_path / "d.zip")
    assert any("it is not in the archive any more" in c["detail"] for c in checks if c["passed"] is None)
    assert any("NOT complete" in c["detail"] for c in checks if c["passed"] is None)


def test_a_manifest_that_is_another_one_now_is_not_packed(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    shop.sell(count=3)
    shop.at_caixa("turn")
    shop.at_matriz("turn")
    manifest = next((shop.matriz / "archive" / f"{DAY:%Y/%m/%d}").glob("*.manifest.json"))
    manifest.write_bytes(manifest.read_bytes().replace(b"delta", b"snapshot"))
    shop.at_matriz("dossier", "--date", DAY.isoformat(), tmp_path / "d.zip", code=1)
    checks = verify(shop, tmp_path / "d.zip")
    assert any("is not what was decided" in c["detail"] for c in checks)


def test_a_dossier_replaces_a_dossier_and_nothing_else(made: tuple[Shop, Path], tmp_path: Path) -> None:
    shop, path = made
    target = tmp_path / "d.zip"
    shop.at_matriz("dossier", "--date", "2026-03-05", target)
    shop.at_matriz("dossier", "--date", DAY.isoformat(), target)
    assert target.read_bytes() == path.read_bytes()
    zip_up(target, {"letters.txt": b"mine"})
    run = shop.at_matriz("dossier", "--date", DAY.isoformat(), target, code=2)
    assert "is no dossier" in run.err
    assert files_of(target) == {"letters.txt": b"mine"}
    run = shop.at_matriz("dossier", "--date", DAY.isoformat(), tmp_path / "no" / "d.zip", code=2)
    assert "Make the folder" in run.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.zip"], "nothing half-written is left"


def test_a_disk_that_fails_leaves_the_old_one(
    made: tuple[Shop, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, path = made
    target = Path(shutil.copy(path, tmp_path / "d.zip"))

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("filesync.writers.durable.fsync_file", full)
    with Station.open(shop.matriz) as station, pytest.raises(OSError, match="No space"):
        write_dossier(station.context, report.page(station.context, DAY), target)
    assert target.read_bytes() == path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["d.zip"]


def test_an_override_given_later_is_in_a_later_dossier(tmp_path: Path) -> None:
    shop = open_shop(tmp_path)
    shop.at_matriz("dossier", "--date", DAY.isoformat(), tmp_path / "before.zip")
    with Station.open(shop.matriz) as station:
        routine.override(station.context, "importar_bdf", DAY, reason="x", by="Ana", confirmed_by="Bruno")
    run = shop.at_matriz("dossier", "--date", DAY.isoformat(), tmp_path / "after.zip")
    assert "*** OVERRIDE no. 1 of importar_bdf" in run.out
    assert "OVERRIDE" not in filesync("verify", tmp_path / "before.zip").out
    assert "*** OVERRIDE no. 1" in filesync("verify", tmp_path / "after.zip").out
