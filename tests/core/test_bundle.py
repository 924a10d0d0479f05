"""The dossier's zip: the same bytes whenever it is made, and no byte of it that could be another one unnoticed."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
import zipfile
from typing import TYPE_CHECKING

import pytest

from filesync.day import bundle
from filesync.day.bundle import Bundle, Wrong
from filesync.errors import DamagedError
from filesync.protocol.signing import SignatureError, SigningKey

if TYPE_CHECKING:
    from pathlib import Path

KEY = SigningKey.from_openssh(SigningKey.generate().to_openssh())
FILES: dict[str, bytes | Path] = {
    "README.txt": b"what this is\n",
    "keys/matriz.pub": b"ssh-ed25519 AAAA matriz\n",
    "manifests/a.manifest.json": b'{"signed": 1}' * 40,
    "empty.json": b"",
}
FACTS = {"day": "2026-03-02", "site": "matriz"}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "day.zip"
    bundle.write(path, FILES, FACTS, KEY)
    return path


def faults(path: Path) -> dict[str, Wrong]:
    with Bundle.open(path) as opened:
        KEY.public.verify(opened.index_bytes, opened.signature)
        return {fault.file: fault.wrong for fault in opened.examine()}


def rewritten(path: Path, change: dict[str, bytes | None]) -> Path:
    """The same zip with other files: made by somebody else's program."""
    with zipfile.ZipFile(path) as old:
        held: dict[str, bytes | None] = {**{name: old.read(name) for name in old.namelist()}, **change}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in held.items():
            if data is not None:
                new.writestr(name, data)
    return path


def test_the_same_files_make_the_same_bytes_in_whatever_order_they_are_given(
    tmp_path: Path, made: Path
) -> None:
    again = tmp_path / "again.zip"
    written = bundle.write(again, dict(reversed(FILES.items())), dict(reversed(FACTS.items())), KEY)
    assert again.read_bytes() == made.read_bytes()
    assert written.sha256 == hashlib.sha256(made.read_bytes()).hexdigest()
    assert written.size == made.stat().st_size
    assert faults(made) == {}


def test_a_large_file_is_taken_from_the_disk(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_bytes(b"a,b\n" * 700_000)
    bundle.write(tmp_path / "one.zip", {"rows.csv": rows}, FACTS, KEY)
    bundle.write(tmp_path / "two.zip", {"rows.csv": rows.read_bytes()}, FACTS, KEY)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert faults(tmp_path / "one.zip") == {}


def test_any_program_can_unpack_it_and_the_sums_are_right(made: Path) -> None:
    with zipfile.ZipFile(made) as zipped:
        assert zipped.testzip() is None
        lines = zipped.read("SHA256SUMS").decode().splitlines()
        sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
        assert sums == {name: hashlib.sha256(zipped.read(name)).hexdigest() for name in FILES}
        index = json.loads(zipped.read("INDEX.json"))
    assert [file["name"] for file in index["files"]] == sorted([*FILES, "SHA256SUMS"])
    assert index["day"] == "2026-03-02"


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)], ids=["sample", "all"])
def test_no_byte_can_be_another_one_unnoticed(made: Path, tmp_path: Path, every: int) -> None:
    data = made.read_bytes()
    harmed = tmp_path / "harmed.zip"
    unnoticed = []
    for place in range(0, len(data), every):
        changed = bytearray(data)
        changed[place] ^= 0x01
        harmed.write_bytes(changed)
        try:
            found = faults(harmed)
        except (DamagedError, SignatureError):
            continue
        if not found:
            unnoticed.append(place)
    assert unnoticed == []


@pytest.mark.parametrize("where", [0, 1, 200, -1])
def test_no_byte_can_be_put_in_or_left_out_unnoticed(made: Path, where: int) -> None:
    data = made.read_bytes()
    where %= len(data) + 1
    for changed in (data[:where] + b"x" + data[where:], data[:where] + data[where + 1 :], data + b"more"):
        if changed == data:
            continue
        made.write_bytes(changed)
        try:
            assert faults(made)
        except DamagedError:
            continue


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"README.txt": b"what this is not\n"}, {"README.txt": Wrong.CHANGED}),
        ({"README.txt": b"WHAT this is\n"}, {"README.txt": Wrong.CHANGED}),
        ({"README.txt": None}, {"README.txt": Wrong.MISSING}),
        ({"more.txt": b"more"}, {"more.txt": Wrong.ADDED}),
        ({"../../evil": b"more"}, {"../../evil": Wrong.ADDED}),
        ({"SHA256SUMS": None}, {"SHA256SUMS": Wrong.MISSING}),
    ],
)
def test_what_is_changed_missing_or_added_is_named(
    made: Path, change: dict[str, bytes | None], expected: dict[str, Wrong]
) -> None:
    assert faults(rewritten(made, change)) == expected


def test_the_same_files_in_another_zip_are_not_the_same_dossier(made: Path) -> None:
    assert faults(rewritten(made, {})) == {"day.zip": Wrong.OUTSIDE}


def test_a_comment_behind_it_is_found(made: Path) -> None:
    with zipfile.ZipFile(made, "a") as zipped:
        zipped.comment = b"nothing to see here"
    assert faults(made) == {"day.zip": Wrong.OUTSIDE}


def test_two_files_of_one_name_are_found(made: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(made, "a") as zipped:
            zipped.writestr("README.txt", b"what this is\n")
    assert faults(made)["README.txt"] is Wrong.TWICE


def test_without_its_signature_it_is_not_signed(made: Path) -> None:
    rewritten(made, {"INDEX.json.sig": None})
    with Bundle.open(made) as opened:
        assert opened.signature is None
        assert [fault.file for fault in opened.examine()] == ["INDEX.json.sig"]


def test_an_index_in_another_layout_is_none(made: Path) -> None:
    with zipfile.ZipFile(made) as zipped:
        index = json.loads(zipped.read("INDEX.json"))
    rewritten(made, {"INDEX.json": json.dumps(index, indent=1).encode()})
    with pytest.raises(DamagedError, match="canonical"):
        Bundle.open(made)


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_dossier_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    with pytest.raises(DamagedError) as caught:
        Bundle.open(path)
    assert caught.value.code == "dossier-unreadable"
    assert not bundle.is_one(path)


def test_a_bomb_is_not_unpacked(made: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, bytes(50 << 20) if name == "INDEX.json" else old.read(name))
    made.write_bytes(packed.getvalue())
    with pytest.raises(DamagedError, match="compressed"):
        Bundle.open(made)


@pytest.mark.parametrize("name", ["../up", "/abs", "a/../b", "INDEX.json", "a\\b", ""])
def test_only_plain_names_are_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="plain file names"):
        bundle.write(tmp_path / "x.zip", {name: b""}, FACTS, KEY)
