"""One promise, two watchers: told by the system, and comparing listings. What is new is said; nothing else is, and nothing ever fails."""

from __future__ import annotations

import os
import queue
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from filesync.errors import TransportError
from filesync.watchers import Watcher
from filesync.watchers.folder import FolderWatcher, Place
from filesync.watchers.polling import PollingWatcher

#: How long a word may take before the test fails; it is not waited for where the word comes.
PATIENCE_S = 10.0
MANIFESTS = ("**/*.manifest.json",)


@dataclass
class Heard:
    """What a watcher said."""

    words: queue.Queue[str] = field(default_factory=queue.Queue)

    def look(self, place: str) -> None:
        self.words.put(place)

    def next(self) -> str:
        return self.words.get(timeout=PATIENCE_S)

    def until(self, place: str) -> None:
        """One event may be said twice (created, closed), the second time late."""
        while self.next() != place:
            pass

    def forget(self) -> None:
        with suppress(queue.Empty):
            while True:
                self.words.get_nowait()


Build = Callable[[dict[str, Path], Heard], Watcher]


def _folder(places: dict[str, Path], heard: Heard) -> Watcher:
    return FolderWatcher([Place(name, folder, MANIFESTS) for name, folder in places.items()], heard.look)


def _polling(places: dict[str, Path], heard: Heard) -> Watcher:
    def listing(folder: Path) -> Iterator[tuple[str, int]]:
        for path in folder.rglob("*.manifest.json"):
            if ".partial" not in path.parts:
                yield str(path), path.stat().st_size

    def of(folder: Path) -> Callable[[], Iterator[tuple[str, int]]]:
        return lambda: listing(folder)

    return PollingWatcher({name: of(f) for name, f in places.items()}, heard.look, period_s=0.01)


@pytest.fixture(params=[_folder, _polling], ids=["folder", "polling"])
def build(request: pytest.FixtureRequest) -> Build:
    made: Build = request.param
    return made


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / name for name in ("inbox", "outbox")}
    for folder in found.values():
        (folder / "matriz").mkdir(parents=True)
    return found


def test_a_file_written_in_place_is_said(build: Build, places: dict[str, Path]) -> None:
    heard = Heard()
    with build(places, heard):
        (places["inbox"] / "matriz" / "a.manifest.json").write_text("{}")
        assert heard.next() == "inbox"


def test_a_file_moved_in_is_said_also_from_the_same_place(build: Build, places: dict[str, Path]) -> None:
    heard = Heard()
    with build(places, heard):
        for number, source in enumerate((places["inbox"] / ".partial", places["inbox"].parent / "elsewhere")):
            source.mkdir()
            (source / "x").write_text("{}")
            (source / "x").rename(places["inbox"] / "matriz" / f"{number}.manifest.json")
            assert heard.next() == "inbox"
            heard.forget()


def test_a_peer_that_appears_later_is_watched_too(build: Build, places: dict[str, Path]) -> None:
    heard = Heard()
    with build(places, heard):
        (places["outbox"] / "portal").mkdir()
        (places["outbox"] / "portal" / "a.manifest.json").write_text("{}")
        assert heard.next() == "outbox"


def test_what_does_not_matter_wakes_nobody(build: Build, places: dict[str, Path]) -> None:
    heard = Heard()
    old = places["inbox"] / "matriz" / "old.manifest.json"
    old.write_text("{}")
    with build(places, heard):
        (places["inbox"] / "matriz" / "a.parquet").write_text("payload")
        (places["inbox"] / "matriz" / "heartbeat.json").write_text("{}")
        (places["inbox"] / ".partial").mkdir()
        (places["inbox"] / ".partial" / "b.manifest.json").write_text("{}")
        old.read_text()
        old.unlink()
        # Words come in order of what happened: had any of that been said, it would come before this.
        (places["outbox"] / "matriz" / "c.manifest.json").write_text("{}")
        assert heard.next() == "outbox"


def test_a_file_that_left_does_not_hold_back_the_next(build: Build, places: dict[str, Path]) -> None:
    """watchdog waits half a second for the other half of a move; settling moves files to the archive all day."""
    heard = Heard()
    (places["outbox"] / "matriz" / "a.manifest.json").write_text("{}")
    archive = places["outbox"].parent / "archive"
    archive.mkdir()
    with build(places, heard):
        (places["outbox"] / "matriz" / "a.manifest.json").rename(archive / "a.manifest.json")
        (places["outbox"] / "matriz" / "b.manifest.json").write_text("{}")
        assert heard.words.get(timeout=0.4) == "outbox"


def test_a_place_that_is_not_there_hinders_no_other(build: Build, places: dict[str, Path]) -> None:
    heard = Heard()
    later = places["inbox"].parent / "share"
    with build({"share": later, **places}, heard) as watcher:
        (places["inbox"] / "matriz" / "a.manifest.json").write_text("{}")
        assert heard.next() == "inbox"
        later.mkdir()
        watcher.refresh()
        (later / "a.manifest.json").write_text("{}")
        heard.until("share")


def test_a_place_that_was_replaced_is_found_again(build: Build, places: dict[str, Path]) -> None:
    heard = Heard()
    with build(places, heard) as watcher:
        shutil.rmtree(places["inbox"])
        places["inbox"].mkdir()
        watcher.refresh()
        heard.forget()
        (places["inbox"] / "a.manifest.json").write_text("{}")
        assert heard.next() == "inbox"


def test_after_the_end_nothing_is_said(build: Build, places: dict[str, Path]) -> None:
    heard = Heard()
    watcher = build(places, heard)
    watcher.start()
    watcher.stop()
    (places["inbox"] / "matriz" / "a.manifest.json").write_text("{}")
    watcher.stop()
    watcher.refresh()
    assert heard.words.empty()


@pytest.mark.skipif(os.name == "nt", reason="Windows compares names without case")
def test_patterns_are_whole_names(places: dict[str, Path]) -> None:
    heard = Heard()
    watched = [
        Place("drop", places["inbox"], ("**/*.csv",), ("**/.partial/**", "**/*.tmp")),
        Place("out", places["outbox"], MANIFESTS),
    ]
    with FolderWatcher(watched, heard.look):
        (places["inbox"] / "x.csv.tmp").write_text("")
        (places["inbox"] / "x.CSV").write_text("")
        (places["outbox"] / "a.manifest.json").write_text("{}")
        assert heard.next() == "out"
        (places["inbox"] / "x.csv").write_text("")
        heard.until("drop")


def test_what_cannot_be_watched_is_named(places: dict[str, Path]) -> None:
    heard = Heard()
    missing = places["inbox"].parent / "share"
    with FolderWatcher([Place("share", missing)], heard.look) as watcher:
        assert str(missing) in watcher.blind["share"]
        missing.mkdir()
        watcher.refresh()
        assert watcher.blind == {}


def test_a_watchdog_that_died_is_replaced(places: dict[str, Path]) -> None:
    heard = Heard()
    with FolderWatcher([Place("inbox", places["inbox"], MANIFESTS)], heard.look) as watcher:
        dead = watcher._observer
        dead.stop()
        dead.join()
        watcher.refresh()
        (places["inbox"] / "a.manifest.json").write_text("{}")
        assert heard.next() == "inbox"


def test_a_road_that_is_down_is_no_news_and_its_return_is() -> None:
    heard = Heard()
    there: list[tuple[str, int]] = [("a", 1)]
    down = False

    def listing() -> list[tuple[str, int]]:
        if down:
            raise TransportError("unreachable", "no route")
        return list(there)

    watcher = PollingWatcher({"matriz": listing}, heard.look, period_s=3600)
    with watcher:
        watcher.poll()
        assert heard.words.empty(), "what lay there at the start is the first turn's"
        there.append(("b", 2))
        watcher.poll()
        assert heard.next() == "matriz"
        there.remove(("a", 1))
        watcher.poll()
        down = True
        watcher.poll()
        assert heard.words.empty()
        down = False
        watcher.poll()
        assert heard.next() == "matriz"
        there[0] = ("b", 3)
        watcher.poll()
        assert heard.next() == "matriz", "the same name with another size is another file"
