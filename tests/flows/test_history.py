"""History does not slow the present: a turn looks at no archive, asks the ledger as much with thirty peers as with three, and reads no past."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from network import DAY, Network, cargo_in, sales, table

from filesync.day import runners  # noqa: F401 -- as in a daemon
from filesync.day.routine import run_due
from filesync.exchange.heartbeats import EVERY_S
from filesync.protocol.identity import Role, heartbeat_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TILLS = 30


def name(number: int) -> str:
    return f"caixa-{number:02}"


def matriz_of(network: Network, tills: int) -> None:
    """A matriz that all tills come to; only the first one exists."""
    network.site("matriz", Role.MATRIZ)
    for number in range(1, tills + 1):
        network.peer("matriz", name(number), Role.CAIXA, pin=False)
    network.site(name(1), Role.CAIXA)
    network.peer(name(1), "matriz", Role.MATRIZ, link="../matriz")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What every store is asked."""
    from filesync.stores.sqlite_database import SqliteDatabase

    said: list[str] = []
    use = SqliteDatabase._use

    def heard(self: SqliteDatabase, statement: str, how: Any) -> Any:
        said.append(statement)
        return use(self, statement, how)

    monkeypatch.setattr(SqliteDatabase, "_use", heard)
    return said


def turn(network: Network) -> None:
    network["matriz"].turn()
    run_due(network["matriz"], network.clock())


def test_an_idle_turn_asks_the_ledger_the_same_for_three_peers_and_for_thirty(
    tmp_path: Path, statements: list[str]
) -> None:
    asked = []
    for tills in (3, TILLS):
        network = Network(tmp_path / str(tills))
        matriz_of(network, tills)
        network[name(1)].seal("vendas", table(sales(name(1))), DAY)
        for _ in range(3):
            network.turn(name(1))
            turn(network)
        statements.clear()
        turn(network)
        asked.append(len(statements))
        network.close()
    assert asked[0] == asked[1] < 60


def test_a_batch_that_thirty_tills_have_not_answered_is_looked_at_once(
    network: Network, statements: list[str]
) -> None:
    """One manifest names all of them; it is read for nobody as long as nothing is missing."""
    matriz_of(network, TILLS)
    turn(network)
    statements.clear()
    turn(network)
    idle = len(statements)
    goods = {
        "codigo": "P1",
        "descricao": "Envelope",
        "preco_centavos": 150,
        "unidade": "UN",
        "vigencia_inicio": DAY,
        "ativo": True,
    }
    network["matriz"].seal("produtos", table([{"origem": "matriz", **goods}], "produtos"), to="caixas")
    turn(network)
    statements.clear()
    turn(network)
    assert len(statements) == idle
    assert not any("manifest FROM fs_outgoing" in statement for statement in statements)
    files = [file for number in range(1, TILLS + 1) for file in network.outbox("matriz", name(number))]
    assert len(files) == 2 * TILLS
    assert len({file.stat().st_ino for file in files}) == 2, (
        "payload and manifest are linked, not written thirty times"
    )
    # One till loses its copies: only they are put back.
    for file in network.outbox("matriz", name(7)):
        file.unlink()
    turn(network)
    assert [file.name for file in network.outbox("matriz", name(7))] == [
        file.name for file in network.outbox("matriz", name(8))
    ]


def test_a_turn_never_looks_into_the_archive(network: Network) -> None:
    """Listed, opened or asked about: not one path below archive/YYYY. Audit hooks cannot be taken away, so this one goes to sleep."""
    matriz_of(network, 3)
    network[name(1)].seal("vendas", table(sales(name(1))), DAY)
    for _ in range(3):
        network.turn(name(1))
        turn(network)
    archives = [str(network.root / site / "archive" / "2026") for site in ("matriz", name(1))]
    assert all((network.root / site / "archive" / "2026").is_dir() for site in ("matriz", name(1)))
    seen: list[tuple[str, str]] = []
    awake = True

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if awake and event in ("os.listdir", "os.scandir", "open", "os.rename", "os.remove", "glob.glob"):
            path = str(args[0]) if args else ""
            if path.startswith(tuple(archives)):
                seen.append((event, path))

    sys.addaudithook(hook)
    try:
        for _ in range(2):
            network.turn(name(1))
            turn(network)
    finally:
        awake = False
    assert seen == []


def test_what_comes_from_one_till_asks_nothing_about_the_others(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heads of those are read from whom something came."""
    matriz_of(network, TILLS)
    turn(network)
    store = network["matriz"].context.store
    asked: list[Any] = []
    real: Callable[..., Any] = type(store).standings

    def standings(self: Any, origins: Any = None) -> Any:
        asked.append(origins)
        return real(self, origins)

    monkeypatch.setattr(type(store), "standings", standings)
    network[name(1)].seal("vendas", table(sales(name(1))), DAY)
    network.turn(name(1))
    asked.clear()
    turn(network)
    assert asked
    assert all(origins is not None and set(origins) <= {name(1)} for origins in asked)


# ---------------------------------------------------------------------------------------------------- heartbeats for thousands


def lying(network: Network, peer: str) -> Path:
    return network.root / "matriz" / "outbox" / peer / heartbeat_name("matriz")


def test_a_heartbeat_that_nobody_came_for_is_not_written_again_without_news(network: Network) -> None:
    matriz_of(network, 2)
    turn(network)
    told = network["matriz"].context.store.told()
    network.clock.advance(seconds=3 * EVERY_S)
    lying(network, name(1)).unlink()  # this till came
    turn(network)
    again = network["matriz"].context.store.told()
    assert again[name(1)].counter == told[name(1)].counter + 1
    assert again[name(2)] == told[name(2)], "that one is closed for the night"
    network["matriz"].seal("vendas", table(sales("matriz", count=1)), DAY, to=name(2))
    turn(network)
    assert network["matriz"].context.store.told()[name(2)].counter == told[name(2)].counter + 1, "news"


def test_one_that_leaves_on_a_stick_is_written_anew(network: Network, tmp_path: Path) -> None:
    matriz_of(network, 1)
    turn(network)
    before = lying(network, name(1)).read_bytes()
    network.clock.advance(seconds=EVERY_S)
    network["matriz"].carry_out(tmp_path)
    assert lying(network, name(1)).read_bytes() != before


def test_heartbeats_that_were_begun_together_do_not_stay_together(network: Network) -> None:
    matriz_of(network, TILLS)
    turn(network)
    rounds = []
    for _ in range(int(EVERY_S / 20)):
        network.clock.now += timedelta(seconds=20)
        before = network["matriz"].context.store.told()
        for number in range(1, TILLS + 1):
            lying(network, name(number)).unlink(missing_ok=True)
        turn(network)
        after = network["matriz"].context.store.told()
        rounds.append(sum(after[peer] != before[peer] for peer in after))
    assert sum(rounds) == TILLS, "each once within the time"
    assert max(rounds) < TILLS / 2


def test_one_outbox_that_nobody_may_write_into_keeps_no_other_heartbeat_back(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    from filesync.writers import durable

    matriz_of(network, 3)
    real = durable.publish_many

    def publish_many(items: Any, **more: Any) -> None:
        if any(folder.name == name(2) for folder, *_ in items):
            raise PermissionError("no")
        real(items, **more)

    monkeypatch.setattr(durable, "publish_many", publish_many)
    turn(network)
    assert [lying(network, name(number)).exists() for number in (1, 2, 3)] == [True, False, True]
    assert set(network["matriz"].context.store.told()) == {name(1), name(3)}
    monkeypatch.undo()
    turn(network)
    assert lying(network, name(2)).exists()
    assert cargo_in(network.root / "matriz" / "outbox" / name(2)) == []
