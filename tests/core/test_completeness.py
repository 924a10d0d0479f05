"""When a dropped file is whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filesync.errors import ConfigError
from filesync.sources.completeness import (
    Completeness,
    Look,
    NotYet,
    Sign,
    done_names,
    is_sign,
    is_temporary,
    judge,
    parse_completeness,
)
from filesync.sources.settings import SourceSettings

NOW = datetime(2026, 3, 2, 18, 30, tzinfo=UTC)
QUIET = Completeness(Sign.QUIET, 5.0)
DONE = Completeness(Sign.DONE_FILE)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_quiet_file_is_taken_after_two_equal_looks_that_far_apart() -> None:
    look = Look(10, 1, NOW)
    assert judge(QUIET, "x.csv", look, NOW, {}) == NotYet(
        "x.csv must stay unchanged for 5 s before it is taken", 5.0
    )
    look = look.again(10, 1, later(2))
    assert isinstance(found := judge(QUIET, "x.csv", look, later(2), {}), NotYet)
    assert found.again_s == 3
    assert judge(QUIET, "x.csv", look.again(10, 1, later(5)), later(5), {}) is None


@given(st.lists(st.tuples(st.floats(0.1, 20), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_a_file_is_never_taken_within_the_quiet_after_a_change(steps: list[tuple[float, int, int]]) -> None:
    at, size, mtime, changed = NOW, 0, 0, NOW
    look = Look(size, mtime, NOW)
    for pause, grown, touched in steps:
        at += timedelta(seconds=pause)
        if grown or touched:
            size, mtime, changed = size + grown, mtime + touched, at
        look = look.again(size, mtime, at)
        if judge(QUIET, "x", look, at, {}) is None:
            assert (at - changed).total_seconds() >= 5


def test_a_clock_that_is_set_back_begins_the_quiet_anew() -> None:
    look = Look(10, 1, NOW).again(10, 1, later(-3600))
    assert look.since == later(-3600)
    assert judge(QUIET, "x.csv", look.again(10, 1, later(-3595)), later(-3595), {}) is None


def test_a_done_file_must_be_there_and_not_older_than_its_file() -> None:
    look = Look(10, 100, NOW)
    assert isinstance(found := judge(DONE, "x.csv", look, NOW, {}), NotYet)
    assert "x.csv.done, x.csv.ok" in found.why
    assert found.again_s is None, "its program will do something, and that wakes us"
    assert isinstance(judge(DONE, "x.csv", look, NOW, {"x.csv.done": 99}), NotYet)
    assert judge(DONE, "x.csv", look, NOW, {"x.csv.done": 100}) is None
    assert judge(DONE, "x.csv", look, NOW, {"x.csv.done": 9, "x.ok": 100}) is None
    assert done_names("x.csv") == ("x.csv.done", "x.csv.ok", "x.done", "x.ok")
    assert done_names("x") == ("x.done", "x.ok")
    assert is_sign(DONE, "x.csv.OK")
    assert not is_sign(QUIET, "x.csv.ok")


@pytest.mark.parametrize(
    "name", [".x.csv", "x.csv.tmp", "X.CSV.TMP", "~$x.csv", "x.csv~", "x.filepart", "x.crdownload"]
)
def test_names_of_files_that_are_being_written(name: str) -> None:
    assert is_temporary(name)


@pytest.mark.parametrize("name", ["x.csv", "tmp.csv", "parte.csv", "x.part.csv"])
def test_names_that_only_look_like_it(name: str) -> None:
    assert not is_temporary(name)


def test_what_was_said_nothing_of_and_what_has_its_real_name_is_whole() -> None:
    for rule in (None, Completeness(Sign.RENAME)):
        assert judge(rule, "x.csv", Look(10, 1, NOW), NOW, {}) is None


def test_the_setting() -> None:
    assert parse_completeness("quiet 5 s") == QUIET
    assert parse_completeness(" Done-File ") == DONE
    source = {"kind": "csv", "path": "drop/*.csv"}
    settings = SourceSettings.from_toml({**source, "complete": "quiet 2 min"})
    assert settings.complete == Completeness(Sign.QUIET, 120)
    assert settings.digest("vendas.v1") == SourceSettings.from_toml(source).digest("vendas.v1"), (
        "when a file is taken does not change what its rows become"
    )
    for wrong in ("quiet", "quiet soon", "done", 5):
        with pytest.raises(ConfigError, match=r"complete: .*expected"):
            SourceSettings.from_toml({**source, "complete": wrong})
    with pytest.raises(ConfigError, match="no such setting"):
        SourceSettings.from_toml(
            {"kind": "sql", "database": "x", "queries": {"vendas": "x"}, "complete": "rename"}
        )
