"""Names: what is written is read back, and nothing else is."""

from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filesync.protocol.identity import (
    FILE_NAME_CHARS_MAX,
    RESERVED_NAMES,
    SEQ_MAX,
    BatchId,
    BatchName,
    Feed,
    FileKind,
    FileName,
    Format,
    check_id,
    new_epoch,
    parse_file_name,
)

ids = st.from_regex("[a-z0-9]([a-z0-9-]{0,22}[a-z0-9])?", fullmatch=True).filter(
    lambda text: text not in RESERVED_NAMES
)
feeds = st.builds(Feed, ids, ids, ids)
names = st.builds(
    BatchName,
    st.builds(BatchId, feeds, st.from_regex("[a-z0-9]{8}", fullmatch=True), st.integers(1, SEQ_MAX)),
    st.dates(),
    st.from_regex("[0-9a-f]{12}", fullmatch=True),
)
file_names = st.one_of(
    st.builds(FileName, names, st.just(FileKind.PAYLOAD), format=st.sampled_from(Format)),
    st.builds(FileName, names, st.just(FileKind.MANIFEST)),
    st.builds(FileName, names, st.just(FileKind.RECEIPT), recipient=ids),
)

NAME = BatchName(
    BatchId(Feed("caixa-01", "vendas", "matriz"), "k3v7q2ma", 12), date(2025, 3, 14), "0123456789ab"
)
STEM = "vendas.caixa-01.matriz.k3v7q2ma.0000000012.20250314.0123456789ab"


def test_names_are_spelled_as_documented() -> None:
    assert str(NAME.id.feed) == "vendas.caixa-01.matriz"
    assert str(NAME.id) == "vendas.caixa-01.matriz.k3v7q2ma.0000000012"
    assert NAME.stem == str(NAME) == STEM
    assert NAME.payload(Format.PARQUET) == f"{STEM}.parquet"
    assert NAME.payload(Format.JSONL) == f"{STEM}.jsonl"
    assert NAME.payload(Format.JSONL_AGE) == f"{STEM}.jsonl.age"
    assert NAME.manifest == f"{STEM}.manifest.json"
    assert NAME.receipt("posto-centro") == f"{STEM}.posto-centro.receipt.json"


@pytest.mark.parametrize(
    "text", ["a", "0", "caixa-01", "a--b", "a" * 24, "com0", "com10", "console", "nul-1"]
)
def test_an_id(text: str) -> None:
    assert check_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-a",
        "a-",
        "A",
        "caixa_01",
        "a.b",
        "a/b",
        "a\\b",
        "..",
        "a b",
        "a\n",
        "ção",
        "a" * 25,
        "١",
        "a\0",
        *sorted(RESERVED_NAMES),
    ],
)
def test_not_an_id(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected .* got"):
        check_id(text)
    for parts in ([text, "b", "c"], ["a", text, "c"], ["a", "b", text]):
        with pytest.raises(ValueError, match=r"expected .* got"):
            Feed(*parts)
    with pytest.raises(ValueError, match=r"expected .* got"):
        NAME.receipt(text)


def test_every_device_name_of_windows_is_reserved() -> None:
    assert len(RESERVED_NAMES) == 22
    assert {"con", "prn", "aux", "nul", "com1", "com9", "lpt1", "lpt9"} <= RESERVED_NAMES


@pytest.mark.parametrize("epoch", ["", "k3v7q2m", "k3v7q2maa", "K3v7q2ma", "k3v7q2m\n", "k3v7-2ma"])
def test_not_an_epoch(epoch: str) -> None:
    with pytest.raises(ValueError, match=r"epoch: expected .* got"):
        BatchId(NAME.id.feed, epoch, 1)


@pytest.mark.parametrize("seq", [0, -1, SEQ_MAX + 1, 2**63, pytest.param(10**5000, id="huge")])
def test_not_a_number_of_a_batch(seq: int) -> None:
    with pytest.raises(ValueError, match=r"seq: expected 1 to 9999999999, got"):
        BatchId(NAME.id.feed, "k3v7q2ma", seq)


@pytest.mark.parametrize("digest", ["", "0123456789a", "0123456789abc", "0123456789AB", "0123456789ag"])
def test_not_a_digest(digest: str) -> None:
    with pytest.raises(ValueError, match=r"digest: expected .* got"):
        BatchName(NAME.id, NAME.business_date, digest)


def test_an_epoch_depends_on_every_byte_of_its_token() -> None:
    token = bytes(range(16))
    epoch = new_epoch(token)
    assert epoch == new_epoch(token) == "xzc4wjqf"
    others = {new_epoch(token[:at] + b"\xff" + token[at + 1 :]) for at in range(16)}
    assert len(others | {epoch}) == 17
    assert BatchId(NAME.id.feed, epoch, 1).epoch == epoch
    with pytest.raises(ValueError, match="at least 8 random bytes, got 7"):
        new_epoch(bytes(7))


@given(file_names)
def test_what_is_written_is_read_back(name: FileName) -> None:
    assert parse_file_name(str(name)) == name
    assert BatchName.parse(name.batch.stem) == name.batch


@given(file_names)
def test_every_name_is_safe_on_every_system(name: FileName) -> None:
    text = str(name)
    assert len(text) < FILE_NAME_CHARS_MAX
    assert text == text.lower()
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert text.partition(".")[0] not in RESERVED_NAMES
    assert not text.startswith(".")
    assert not text.endswith(".")


def test_the_longest_name_stays_short_enough() -> None:
    longest = BatchName(BatchId(Feed("o" * 24, "d" * 24, "a" * 24), "e" * 8, SEQ_MAX), date.max, "0" * 12)
    assert len(longest.receipt("r" * 24)) == 154 < FILE_NAME_CHARS_MAX


@pytest.mark.parametrize(
    "name",
    [
        "",
        STEM,
        f"{STEM}.",
        f"{STEM}.csv",
        f"{STEM}.PARQUET",
        f"{STEM}.parquet.tmp",
        f"{STEM}.parquet\n",
        f" {STEM}.parquet",
        f".{STEM}.parquet",
        f"../{STEM}.parquet",
        f"x/{STEM}.parquet",
        f"{STEM}.manifest",
        f"{STEM}.manifest.json.partial",
        f"{STEM}.receipt.json",
        f"{STEM}..receipt.json",
        f"{STEM}.con.receipt.json",
        f"{STEM}.Matriz.receipt.json",
        f"{STEM}.matriz.manifest.json",
        f"{STEM} (1).parquet",
        STEM.replace("vendas", "Vendas") + ".parquet",
        STEM.replace("vendas", "nul") + ".parquet",
        STEM.replace("0000000012", "12") + ".parquet",
        STEM.replace("0000000012", "0000000000") + ".parquet",
        STEM.replace("0000000012", "000000001２") + ".parquet",
        STEM.replace("20250314", "20250231") + ".parquet",
        STEM.replace("20250314", "00000101") + ".parquet",
        STEM.replace("20250314", "2025-03-14") + ".parquet",
        STEM.replace("0123456789ab", "0123456789AB") + ".parquet",
        STEM.replace("caixa-01", "c" * 25) + ".parquet",
        "thumbs.db",
        "desktop.ini",
        ".DS_Store",
        "\0",
        "\udcff.parquet",
    ],
)
def test_a_stranger(name: str) -> None:
    assert parse_file_name(name) is None
    with pytest.raises(ValueError):
        BatchName.parse(name.removesuffix(".parquet") if not name.startswith(STEM) else name + ".")


@given(st.text())
@example(f"{STEM}.parquet")
def test_reading_a_name_never_fails_and_never_guesses(name: str) -> None:
    read = parse_file_name(name)
    assert read is None or str(read) == name


@given(file_names, st.data())
def test_one_changed_character_is_another_name_or_none(name: FileName, data: st.DataObject) -> None:
    text = str(name)
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.characters().filter(lambda char: char != text[at])) + text[at + 1 :]
    read = parse_file_name(changed)
    assert read is None or (str(read) == changed and read != name)
