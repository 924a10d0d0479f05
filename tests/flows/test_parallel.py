"""Feeds of several origins imported side by side: by threads, by processes, and on a real cluster with two worker processes.

Whatever happens to the workers, the site ends as if it had imported alone: the same receipts byte for byte (its clock stands still here), the same
rows, the same files in the same places, and a report that tells every batch once.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dask_cluster import on, running
from network import DAY, ENGINES, Network, rows, sales, table

from filesync.config import ExecutorKind
from filesync.errors import ConfigError
from filesync.exchange import executors, fence, incoming, parallel, workers
from filesync.exchange.context import SOFTWARE
from filesync.exchange.station import Station
from filesync.protocol.identity import Format, Role, parse_heartbeat_name
from filesync.writers import durable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from filesync.exchange.context import Context
    from filesync.exchange.reports import ImportReport, Progress

TILLS = tuple(f"caixa-{number:02d}" for number in range(1, 7))
#: As it is, whatever a test puts in its place.
import_share = parallel.import_share
LOCAL = ("threads:2", "processes:2")


# ------------------------------------------------------------------------------------------------ a site with mail


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> str:
    """Where stores are: embedded, unless a test says `@on_both`."""
    return str(getattr(request, "param", ENGINES[0]))


on_both = pytest.mark.parametrize("engine", ENGINES, indirect=True, scope="module")


@pytest.fixture(scope="module")
def mail(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine: str
) -> Iterator[Network]:
    """A matriz in whose inboxes the batches of six tills lie: good ones, corrections, a damaged one, a hole, a number given up, a false claim."""
    server = request.getfixturevalue("postgresql") if engine == "postgresql" else None
    net = Network(tmp_path_factory.mktemp("mail") / "net", server=server)
    net.site("matriz", Role.MATRIZ)
    for name in TILLS:
        net.site(name, Role.CAIXA)
        net.peer(name, "matriz", Role.MATRIZ, link="../matriz")
        net.peer("matriz", name, Role.CAIXA, pin=name != "caixa-06")
        net.configure(name, "\n[datasets.vendas]\ndocuments_max = 3\n")
        form = Format.PARQUET if name in ("caixa-02", "caixa-05") else Format.JSONL
        sold = sales(name, count=15)
        net[name].seal("vendas", table(sold), DAY, format=form)
        if name == "caixa-02":
            for sale in sold[:4]:
                sale["situacao"], sale["versao"] = "cancelada", 2
            net[name].seal("vendas", table(sold), DAY, format=form)
        if name == "caixa-04":
            net[name].void(f"vendas.{name}.matriz", [2], reason="lost", by="Ana")
        net[name].turn()
    inbox = net.root / "matriz" / "inbox"
    _payload(inbox / "caixa-03", 2).write_bytes(b"not what was claimed")
    _claim_more(_manifest(inbox / "caixa-06", 3))
    net.close()
    yield net
    net.leave()


def _manifest(folder: Path, seq: int) -> Path:
    return next(path for path in folder.glob("*.manifest.json") if f".{seq:010d}." in path.name)


def _payload(folder: Path, seq: int) -> Path:
    stem = _manifest(folder, seq).name.removesuffix(".manifest.json")
    return next(path for path in folder.glob(f"{stem}.*") if not path.name.endswith(".manifest.json"))


def _claim_more(path: Path) -> None:
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["signed"]["rows"]["vendas"] += 1
    path.write_text(json.dumps(manifest), encoding="utf-8")


@pytest.fixture
def net(mail: Network, tmp_path: Path) -> Iterator[Network]:
    made = mail.copy_of(tmp_path / "net")
    yield made
    made.leave()


@pytest.fixture(scope="module")
def alone(mail: Network, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """How the site ends that imports alone, and what it tells."""
    net = mail.copy_of(tmp_path_factory.mktemp("alone") / "net")
    told = net["matriz"].import_()
    ended = state(net), said(told)
    net.leave()
    return ended


def state(net: Network) -> dict[str, Any]:
    """Everything that must be the same, whoever imported."""
    station, root = net["matriz"], net.root / "matriz"
    store = station.context.store
    decided = [name for name, _, _ in store.decided_after(0)]
    return {
        "receipts": {name: _receipt(station, name) for name in sorted(decided)},
        "rows": rows(station),
        "heads": store.standings(),
        "holes": store.holes.open(),
        "voids": sorted((v.name or "", v.reason) for v in store.holes.voids()),
        "unacknowledged": store.unacknowledged(),
        "problems": sorted((p.name, p.code, p.message) for p in store.problems()),
        "files": {
            str(path.relative_to(root)): path.read_bytes()
            for top in ("inbox", "outbox", "archive", "quarantine")
            for path in (root / top).rglob("*")
            if path.is_file() and parse_heartbeat_name(path.name) is None
        },
    }


def but_missing(ended: dict[str, Any]) -> dict[str, Any]:
    """The same without what receipts say is missing: whoever looks again, because the first one was lost, finds other files lying there."""

    def bare(text: str | bytes) -> dict[str, Any]:
        receipt = json.loads(text)
        signed: dict[str, Any] = receipt.get("signed", receipt)
        return {name: value for name, value in signed.items() if name != "missing"}

    receipts = {name: bare(text) for name, text in ended["receipts"].items()}
    files: dict[str, Any] = {
        path: bare(data) if path.endswith(".receipt.json") else data for path, data in ended["files"].items()
    }
    # Between a case's file and its entry in the audit a worker may be killed, too; and a case that is met again is counted.
    for path in (path for path in files if path.endswith(".problem.json")):
        files[path] = json.loads(files[path]) | {"times": 1}
    return ended | {"receipts": receipts, "files": files, "problems": None}


def _receipt(station: Station, name: str) -> str | None:
    stored = station.context.store.receipt_of(name)
    assert stored is not None
    return stored.receipt


def said(report: ImportReport) -> dict[str, Any]:
    """What a report tells, in no order."""
    return {
        "applied": sorted((b.name, b.verdict.value, b.documents, b.problems) for b in report.applied),
        "waiting": sorted((h.peer, h.name, h.code, h.message) for h in report.waiting),
        "set_aside": sorted((h.peer, h.name, h.code, h.message) for h in report.set_aside),
        "voided": sorted((h.peer, h.name, h.code) for h in report.voided),
        "replayed": sorted(report.replayed),
    }


def _as_said_again(told: dict[str, Any]) -> dict[str, Any]:
    """A payload that was set aside as damaged is missing when the inbox is looked at again."""
    return told | {"waiting": [held for held in told["waiting"] if held[2] != "payload-missing"]}


@pytest.fixture(autouse=True)
def whatever_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are asked however little there is to do."""
    monkeypatch.setattr(parallel, "LEAST", dict.fromkeys(ExecutorKind, 0))


def by(net: Network, executor: str) -> Station:
    """The matriz, with workers."""
    net.configure("matriz", f'\n[import]\nexecutor = "{executor}"\n')
    return net.reopen("matriz")


def left_over(net: Network) -> list[str]:
    folder = net.root / "matriz" / "run" / "workers"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


# ------------------------------------------------------------------------------------------------ as if alone


def test_the_mail_holds_every_kind_of_trouble(alone: tuple[dict[str, Any], dict[str, Any]]) -> None:
    _, told = alone
    assert {verdict for _, verdict, *_ in told["applied"]} == {"APPLIED", "REJECTED"}
    assert {code for *_, code, _ in told["set_aside"]} >= {"truncated", "totals-mismatch", "broken-chain"}
    assert {code for *_, code, _ in told["waiting"]} >= {"hole"}
    assert told["voided"]


@on_both
@pytest.mark.parametrize("executor", LOCAL)
def test_by_workers_as_alone(
    net: Network, alone: tuple[dict[str, Any], dict[str, Any]], executor: str
) -> None:
    report = by(net, executor).import_()
    assert not report.redone
    assert said(report) == alone[1]
    assert state(net) == alone[0]
    assert left_over(net) == []


@pytest.mark.parametrize("executor", LOCAL)
def test_nothing_is_left_for_the_next_turn(net: Network, executor: str) -> None:
    station = by(net, executor)
    station.import_()
    before = state(net)
    again = station.import_()
    assert not again.applied
    assert not again.replayed
    assert state(net) == before


def test_a_whole_turn_is_told_as_it_goes_on(net: Network) -> None:
    ticks: list[Progress] = []
    by(net, "threads:2").observed(ticks.append).import_()
    assert [tick.step for tick in ticks] == ["apply"] * len(ticks)
    assert ticks[-1].done == ticks[-1].total


def test_reports_survive_the_way_home(net: Network) -> None:
    report = net["matriz"].import_()
    assert pickle.loads(pickle.dumps(report)) == report


def test_contracts_that_were_handed_in_do_not_leave_the_process(net: Network) -> None:
    from filesync.contracts import Registry
    from filesync.contracts.registry import schemas_folder

    net.configure("matriz", '\n[import]\nexecutor = "processes:2"\n')
    own = Registry(folder=schemas_folder() / "datasets")
    with Station.open(net.root / "matriz", contracts=own, clock=net.clock) as station:
        assert workers.fitting(station.context).kind is ExecutorKind.NONE
    with Station.open(net.root / "matriz", clock=net.clock) as station:
        assert workers.fitting(station.context).kind is ExecutorKind.PROCESSES


def test_a_little_mail_is_imported_alone(net: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(executors, "opened", lambda _: pytest.fail("nobody is needed"))
    assert by(net, "processes:2").import_().applied


# ------------------------------------------------------------------------------------------------ workers that are lost


def killed_at(step: str) -> None:
    """This process dies at a step of its import: kill -9, nothing is tidied."""

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    match step:
        case "begin":
            die()
        case "commit":  # applied, no receipt is out
            vars(incoming)["acknowledge"] = die
        case "acknowledge":  # receipts are out, and the ledger does not know it
            vars(durable)["publish_many"] = die
        case "archive":  # acknowledged, and the files are still in the inbox
            vars(incoming)["_archive"] = die
        case "end":  # everything is done, and nobody was told
            return


STEPS = (
    "begin",
    "commit",
    *(pytest.param(step, marks=pytest.mark.slow) for step in ("acknowledge", "archive", "end")),
)


def dying(step: str, ctx: Context, origins: tuple[str, ...]) -> parallel.Brought:
    if "caixa-02" in origins:
        killed_at(step)
    brought = import_share(ctx, origins)
    if "caixa-02" in origins:
        os.kill(os.getpid(), signal.SIGKILL)
    return brought


def begin(ctx: Context, origins: tuple[str, ...]) -> parallel.Brought:
    return dying("begin", ctx, origins)


def commit(ctx: Context, origins: tuple[str, ...]) -> parallel.Brought:
    return dying("commit", ctx, origins)


def acknowledge(ctx: Context, origins: tuple[str, ...]) -> parallel.Brought:
    return dying("acknowledge", ctx, origins)


def archive(ctx: Context, origins: tuple[str, ...]) -> parallel.Brought:
    return dying("archive", ctx, origins)


def end(ctx: Context, origins: tuple[str, ...]) -> parallel.Brought:
    return dying("end", ctx, origins)


@on_both
@pytest.mark.skipif(os.name == "nt", reason="nothing is killed like that there")
@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_is_killed_changes_nothing(
    net: Network,
    alone: tuple[dict[str, Any], dict[str, Any]],
    step: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    station = by(net, "processes:2")
    monkeypatch.setattr(parallel, "import_share", globals()[step])
    report = station.import_()
    assert any("caixa-02" in part.items for part in report.redone)
    assert {part.code for part in report.redone} == {"worker-lost"}
    told, expected = _as_said_again(said(report)), _as_said_again(alone[1])
    # Of what a lost worker set aside, or took as given up, nobody tells; it is in quarantine, and in the ledger.
    for lost in ("set_aside", "voided"):
        assert set(told.pop(lost)) <= set(expected.pop(lost))
    assert told == expected
    assert but_missing(state(net)) == but_missing(alone[0])
    assert left_over(net) == []


def failing(ctx: Context, origins: tuple[str, ...]) -> parallel.Brought:
    """A share that breaks when its first group of batches is done."""

    def observe(_: Progress) -> None:
        raise OSError("the disk went away")

    return import_share(replace(ctx, observe=observe), origins)


@pytest.mark.parametrize("executor", LOCAL)
def test_a_worker_that_fails_has_done_what_it_has_done(
    net: Network,
    alone: tuple[dict[str, Any], dict[str, Any]],
    executor: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    station = by(net, executor)
    monkeypatch.setattr(parallel, "import_share", failing)
    report = station.import_()
    assert {part.code for part in report.redone} == {"worker-failed"}
    assert {origin for part in report.redone for origin in part.items} == set(TILLS)
    assert "the disk went away" in report.redone[0].message
    told, expected = _as_said_again(said(report)), _as_said_again(alone[1])
    assert told == expected
    assert but_missing(state(net)) == but_missing(alone[0])


# ------------------------------------------------------------------------------------------------ on a cluster


@on_both
def test_on_a_cluster_as_alone(
    net: Network, alone: tuple[dict[str, Any], dict[str, Any]], cluster: Any
) -> None:
    report = by(net, on(cluster)).import_()
    assert not report.redone
    assert said(report) == alone[1]
    assert state(net) == alone[0]
    assert left_over(net) == []


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="nothing is killed like that there")
@pytest.mark.parametrize("step", ["begin", "acknowledge"])
def test_a_worker_of_a_cluster_that_is_killed_again_and_again_changes_nothing(
    net: Network,
    alone: tuple[dict[str, Any], dict[str, Any]],
    cluster: Any,
    step: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    station = by(net, on(cluster))
    monkeypatch.setattr(parallel, "import_share", globals()[step])
    report = station.import_()
    (lost,) = report.redone
    assert "caixa-02" in lost.items
    assert (lost.code, "KilledWorker" in lost.message) == ("worker-lost", True)
    assert but_missing(state(net)) == but_missing(alone[0])
    assert said(report)["applied"] == alone[1]["applied"]
    assert left_over(net) == []


def once(ctx: Context, origins: tuple[str, ...]) -> parallel.Brought:
    """A share whose first worker dies when all is done: it is given to another one, and done twice."""
    brought = import_share(ctx, origins)
    died = ctx.folders.root / "run" / "died"
    if "caixa-02" in origins and not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return brought


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="nothing is killed like that there")
def test_a_share_that_is_done_twice_changes_nothing(
    net: Network, alone: tuple[dict[str, Any], dict[str, Any]], cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = by(net, on(cluster))
    monkeypatch.setattr(parallel, "import_share", once)
    report = station.import_()
    assert not report.redone, "the cluster brought it home by itself"
    assert (net.root / "matriz" / "run" / "died").exists()
    assert but_missing(state(net)) == but_missing(alone[0])
    assert said(report)["applied"] == alone[1]["applied"], "what the first worker had applied is told, too"
    assert not report.replayed


@pytest.mark.slow
def test_over_tls(net: Network, alone: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path) -> None:
    import distributed

    library: Any = distributed
    secure = library.Security.temporary()
    keys = net.root / "matriz" / "keys"
    for name, text in (
        ("ca", secure.tls_ca_file), ("cert", secure.tls_client_cert), ("key", secure.tls_client_key)
    ):  # fmt: skip
        (keys / f"cluster-{name}.pem").write_text(str(text), encoding="utf-8")
    net.configure(
        "matriz",
        '\n[import.tls]\nca = "keys/cluster-ca.pem"\ncert = "keys/cluster-cert.pem"\nkey = "keys/cluster-key.pem"\n',
    )
    with running(security=secure) as cluster:
        assert cluster.scheduler_address.startswith("tls://")
        report = by(net, cluster.scheduler_address).import_()
    assert not report.redone
    assert state(net) == alone[0]


def test_a_cluster_that_is_not_there_is_done_without(
    net: Network, alone: tuple[dict[str, Any], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "CONNECT_S", 0.5)
    report = by(net, "dask://127.0.0.1:9").import_()
    (lost,) = report.redone
    assert (lost.code, set(lost.items)) == ("executor-unreachable", set(TILLS))
    assert said(report) == alone[1]
    assert state(net) == alone[0]


# ------------------------------------------------------------------------------------------------ two at a time


def _machine(net: Network) -> str | None:
    return workers.machine() if net.server is None else None


def test_one_share_by_two_workers_at_once(net: Network, alone: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """A worker that is taken for lost may still be at work when another one begins: they do it one after the other."""
    ctx = net["matriz"].context
    run = fence.begin(net.root / "matriz")
    task = workers.Task(net.root / "matriz", run, 0, TILLS, net.clock, SOFTWARE, _machine(net))
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda _: workers.do(import_share, task), range(2)))
    fence.end(run)
    assert all(outcome.value is not None and not outcome.value.failed for outcome in outcomes), outcomes
    incoming.conclude(ctx, next(o.value.seen for o in outcomes if o.value and o.value.report.applied))
    assert but_missing(state(net)) == but_missing(alone[0])


@on_both
def test_two_at_once_without_a_fence_are_decided_by_the_ledger(
    net: Network, alone: tuple[dict[str, Any], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the fence keeps apart are files. Rows and receipts are the same without it, whoever of two comes first."""
    monkeypatch.setattr(fence, "share", _unfenced)
    run = fence.begin(net.root / "matriz")
    task = workers.Task(net.root / "matriz", run, 0, TILLS, net.clock, SOFTWARE, _machine(net))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: workers.do(import_share, task), range(2)))
    fence.end(run)
    net["matriz"].import_()
    ended = state(net)
    for same in ("rows", "heads", "holes"):
        assert ended[same] == alone[0][same]
    assert but_missing(ended)["receipts"] == but_missing(alone[0])["receipts"]


@contextmanager
def _unfenced(run: Path, number: int) -> Iterator[fence.Share]:
    yield fence.Share(run)


def test_a_worker_that_comes_too_late_does_nothing(net: Network) -> None:
    run = fence.begin(net.root / "matriz")
    task = workers.Task(net.root / "matriz", run, 0, TILLS, net.clock, SOFTWARE, _machine(net))
    fence.end(run)
    before = state(net)
    outcome = workers.do(import_share, task)
    assert (outcome.value, outcome.code) == (None, "worker-failed")
    assert "FencedError" in outcome.message
    assert state(net) == before
    assert left_over(net) == []


def test_a_worker_ends_between_two_groups_when_its_run_is_over(net: Network) -> None:
    net.configure("matriz", "\n[limits]\ngroup_batches_max = 1\n")
    run = fence.begin(net.root / "matriz")
    with fence.share(run, 0) as share, Station.open(net.root / "matriz", clock=net.clock) as station:
        (run / fence.OPEN).unlink()
        ctx = replace(station.context, observe=lambda _: share.still())
        brought = import_share(ctx, TILLS)
    assert "FencedError" in brought.failed
    assert len(brought.report.applied) == 1
    fence.end(run)


def test_what_a_crash_left_at_work_is_waited_for(net: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    from filesync.exchange import station

    monkeypatch.setattr(station, "LOCK_PATIENCE_S", 0.05)
    run = fence.begin(net.root / "matriz")
    with fence.share(run, 3) as share:
        with pytest.raises(ConfigError, match="still works") as caught:
            net["matriz"].import_()
        assert caught.value.code == "busy"
        with pytest.raises(fence.FencedError):
            share.still()
    assert net["matriz"].import_().applied
    assert left_over(net) == []


def test_workers_of_another_version_or_machine_are_done_without(net: Network) -> None:
    run = fence.begin(net.root / "matriz")
    task = workers.Task(net.root / "matriz", run, 0, TILLS, net.clock, "filesync 0.0", _machine(net))
    assert workers.do(import_share, task).code == "worker-unfit"
    assert (
        workers.do(import_share, replace(task, software=SOFTWARE, machine="another")).code == "worker-unfit"
    )
    fence.end(run)


def test_when_no_worker_is_left_nobody_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import Future

    monkeypatch.setattr(workers, "LOOK_S", 0.01)
    nobody = executors.Workers(ThreadPoolExecutor(1), 1, here=False, alive=lambda: False)
    waiting: Future[workers.Outcome[None]] = Future()
    assert list(workers._ended(nobody, {waiting})) == [waiting]
    assert waiting.cancelled()


@pytest.mark.skipif(os.name == "nt", reason="a parent is ended otherwise there")
def test_workers_do_not_outlive_their_parent(tmp_path: Path) -> None:
    import subprocess
    import sys

    program = tmp_path / "parent.py"
    program.write_text(
        "import os, signal, time\n"
        "from filesync.config import ExecutorChoice\n"
        "from filesync.exchange.executors import opened\n"
        "if __name__ == '__main__':\n"
        "    with opened(ExecutorChoice.parse('processes:1')) as workers:\n"
        "        print(workers.executor.submit(os.getpid).result(), flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, str(program)], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    # The worker held the other end of this pipe, too: `run` came back because it is gone.
    assert int(done.stdout)


# ------------------------------------------------------------------------------------------------ memory

#: As a site that imports alone: 300 MiB with 50,000 sales in a batch, 455 with 200,000, and the same 455 with 600,000.
WORKER_MIB_MAX = 520


def weighed(ctx: Context, origins: tuple[str, ...]) -> parallel.Brought:
    """A share, and how much memory its process ever held. Not by getrusage: what that says begins with the parent's."""
    brought = import_share(ctx, origins)
    (line,) = [text for text in _status().splitlines() if text.startswith("VmHWM:")]
    kib = int(line.split()[1])
    (ctx.folders.root / "run" / f"kib-{os.getpid()}").write_text(str(kib), encoding="ascii")
    return brought


def _status() -> str:
    return Path("/proc/self/status").read_text(encoding="ascii")


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the system does not count like that there"
)
def test_workers_need_little_memory_however_large_their_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Network(tmp_path / "net")
    net.site("matriz", Role.MATRIZ)
    net.configure("matriz", "\n[limits]\nchunk_documents = 16384\n")
    tills = TILLS[:2]
    for name in tills:
        net.site(name, Role.CAIXA)
        net.peer(name, "matriz", Role.MATRIZ, link="../matriz")
        net.peer("matriz", name, Role.CAIXA)
        net.configure(name, "\n[datasets.vendas]\ndocuments_max = 1000000\n")
        net[name].seal("vendas", _many(name, 200_000), DAY)
        net[name].turn()
        net.stations.pop(name).close()
    monkeypatch.setattr(parallel, "import_share", weighed)
    report = by(net, "processes:2").import_()
    assert [batch.documents for batch in report.applied] == [200_000] * 2
    assert not report.redone
    peaks = [
        int(path.read_text(encoding="ascii")) >> 10 for path in (net.root / "matriz" / "run").glob("kib-*")
    ]
    assert len(peaks) == 2
    assert max(peaks) <= WORKER_MIB_MAX
    net.close()


def _many(site: str, count: int) -> Any:
    """So many sales, all different in id and number."""
    import uuid

    import pyarrow as pa

    pattern = table(sales(site, count=1_000))
    whole = pa.concat_tables([pattern] * (count // 1_000))
    ids = pa.array([str(uuid.UUID(int=(4 << 76) | (2 << 62) | number)) for number in range(count)])
    numbers = pa.array(range(1, count + 1), pa.int64())
    whole = whole.set_column(whole.schema.get_field_index("venda_id"), "venda_id", ids)
    return whole.set_column(whole.schema.get_field_index("numero"), "numero", numbers).cast(pattern.schema)
