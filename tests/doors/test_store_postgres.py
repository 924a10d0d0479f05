"""What only a store on a server must do: several importers at once, a connection that is lost at any instant, and a server that says no."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from store_engines import Base
from store_samples import (
    AT,
    DAY,
    EPOCH,
    FEED,
    MATRIZ,
    OTHER_EPOCH,
    contract,
    document,
    flat,
    held,
    incoming,
    name,
)

from filesync.contracts import Registry
from filesync.demo.sales import sales_of_day
from filesync.errors import ConfigError, TransportError
from filesync.protocol.admission import Standing
from filesync.protocol.identity import Feed, Role
from filesync.stores import postgres_connection, postgres_database, postgres_errors
from filesync.stores.postgres import PostgresStore
from filesync.stores.postgres_connection import shown
from filesync.stores.values import HeadMovedError, KeyExistsError, RowOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from postgres_server import Server

    from filesync.stores.postgres_database import PostgresDatabase
    from filesync.stores.reporting import Group
    from filesync.stores.store import Store

CONTRACT = contract()
POSTO = Feed("posto-01", "sales", "matriz")


@pytest.fixture
def home(postgresql: Server) -> Iterator[Base]:
    made = Base(postgresql)
    yield made
    made.leave()


@pytest.fixture
def store(home: Base) -> Iterator[Store]:
    with home.create() as made:
        yield made


@pytest.fixture
def other(home: Base, store: Store) -> Iterator[Store]:
    """Another importer of the same site."""
    with home.open() as made:
        yield made


def database(store: Store) -> PostgresDatabase:
    db = store._db
    assert isinstance(db, postgres_database.PostgresDatabase)
    return db


def apply(store: Store, seq: int, *keys: int, feed: Feed = FEED, before: Standing | None = None) -> None:
    with store.transaction({(feed, EPOCH): before}) as tx:
        tx.ensure_tables(CONTRACT)
        batch_id = tx.next_batch_id()
        tx.append(CONTRACT, flat(CONTRACT, [document(key, origem=feed.origin) for key in keys]), batch_id)
        tx.record_incoming([incoming(batch_id, name(seq, feed=feed))])


def head(seq: int) -> Standing:
    return Standing(seq, f"{seq:064x}")


# ---------------------------------------------------------------------------------------------------- importers side by side


@contextmanager
def waiting(home: Base) -> Iterator[Callable[[], None]]:
    """Yields a function that returns when somebody waits for a lock in this database."""
    with home.bare() as connection, connection.cursor() as cursor:

        def wait() -> None:
            for _ in range(10_000):
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
                if cursor.fetchone()[0]:
                    return
            raise AssertionError("nobody waits")

        yield wait


def test_who_comes_second_waits_and_sees_that_the_head_moved(store: Store, other: Store, home: Base) -> None:
    with ThreadPoolExecutor(1) as thread, waiting(home) as wait:
        with store.transaction({(FEED, EPOCH): None}) as tx:
            second = thread.submit(apply, other, 1, 1)
            wait()
            tx.ensure_tables(CONTRACT)
            batch_id = tx.next_batch_id()
            tx.append(CONTRACT, flat(CONTRACT, [document(1)]), batch_id)
            tx.record_incoming([incoming(batch_id, name(1))])
        with pytest.raises(HeadMovedError) as moved:
            second.result()
    assert moved.value.feeds == {(FEED, EPOCH)}
    assert other.standings() == {(FEED, EPOCH): head(1)}
    apply(other, 2, 2, before=head(1))
    assert [one["id"] for one in held(store, CONTRACT)] == ["1", "2"]


def test_a_feed_is_held_in_all_its_epochs(store: Store, other: Store, home: Base) -> None:
    """A till was replaced in the middle of the day: its batches and those of its successor change the same rows."""
    apply(store, 1, 1)
    with ThreadPoolExecutor(1) as thread, waiting(home) as wait:

        def newer() -> None:
            with other.transaction({(FEED, OTHER_EPOCH): None}) as tx:
                batch_id = tx.next_batch_id()
                tx.record_incoming([incoming(batch_id, name(1, epoch=OTHER_EPOCH))])

        with store.transaction({(FEED, EPOCH): head(1)}) as tx:
            later = thread.submit(newer)
            wait()
            first = tx.next_batch_id()
            tx.record_incoming([incoming(first, name(2))])
        later.result()
    assert home.ask("SELECT name FROM fs_incoming ORDER BY batch_id")[1:] == [
        (name(2).stem,),
        (name(1, epoch=OTHER_EPOCH).stem,),
    ]


def test_feeds_of_others_are_applied_at_the_same_time(store: Store, other: Store) -> None:
    apply(store, 1, 1)  # the tables are there
    with store.transaction({(FEED, EPOCH): head(1)}) as tx:
        first = tx.next_batch_id()
        tx.append(CONTRACT, flat(CONTRACT, [document(2)]), first)
        apply(other, 1, 1, feed=POSTO)  # a whole one, while the other is open
        assert other.standings() == {(FEED, EPOCH): head(1), (POSTO, EPOCH): head(1)}
        tx.record_incoming([incoming(first, name(2))])
    assert len(held(other, CONTRACT)) == 3


def test_what_becomes_visible_later_is_newer_whoever_began_first(store: Store, other: Store) -> None:
    apply(store, 1, 1)
    with store.transaction({(FEED, EPOCH): head(1)}) as tx:
        early = tx.next_batch_id()
        apply(other, 1, 1, feed=POSTO)
        seen = other.days.newest_batch()
        assert other.decided_after(seen) == []
        tx.record_incoming([incoming(early, name(2))])
        assert other.decided_after(seen) == []
    assert [found[0] for found in other.decided_after(seen)] == [name(2).stem], (
        "though its number is the lower one"
    )
    assert other.days.days_since(seen) == [DAY]
    assert other.days.newest_batch() > seen
    assert other.days.newest_of([DAY]) == {DAY: other.days.newest_batch()}


def test_a_reconciliation_is_stale_after_what_it_could_not_see(store: Store, other: Store) -> None:
    """A batch that began before it and ended after it has a lower number than what it saw last."""
    vendas = Registry.packaged().latest("vendas")
    assert vendas is not None
    sold = sales_of_day("caixa-01", Role.CAIXA, DAY, count=3)

    def rows(documents: list[dict[str, Any]]) -> dict[str, Any]:
        converted, problems, _ = vendas.from_documents(documents)
        assert not problems
        return vendas.flatten(converted)

    feed = Feed("caixa-01", "vendas", "matriz")
    with store.transaction() as tx:
        tx.ensure_tables(vendas)
        batch_id = tx.next_batch_id()
        tx.append(vendas, rows(sold), batch_id)
        tx.record_incoming([incoming(batch_id, name(1, feed=feed))])
    with store.transaction() as tx:
        early = tx.next_batch_id()
        changed = [{**sold[0], "operador": "M999", "versao": 1}]
        tx.merge(vendas, [rows(changed)], early, RowOrder(feed, EPOCH))
        apply(other, 1, 1, feed=POSTO)
        other.reconciling.reconcile(DAY, AT)
        assert other.reconciling.stale_days(DAY, DAY) == {}
        tx.record_incoming([incoming(early, name(2, feed=feed))])
    assert other.reconciling.stale_days(DAY, DAY) == {DAY: ("vendas",)}
    found = other.reconciling.find(DAY)
    assert found is not None
    assert found.changed == ("vendas",)
    other.reconciling.reconcile(DAY, AT)
    assert other.reconciling.stale_days(DAY, DAY) == {}


def test_tables_are_made_by_one_of_two(store: Store, other: Store, home: Base) -> None:
    with ThreadPoolExecutor(1) as thread, waiting(home) as wait:
        with store.transaction() as tx:
            tx.ensure_tables(CONTRACT)
            second = thread.submit(apply, other, 1, 1, feed=POSTO)
            wait()
        second.result()
    assert len(held(store, CONTRACT)) == 1


#: The same documents with a field more.
NEWER = contract(version=2, canal={"type": "string"})


@pytest.mark.parametrize("committed", [True, False])
def test_of_two_that_open_a_newer_version_at_once_one_adds_its_columns(
    store: Store, other: Store, home: Base, committed: bool
) -> None:
    """Who comes second waits, and looks again: the columns are there, or the first one was cut off and it adds them itself."""
    apply(store, 1, 1)
    with ThreadPoolExecutor(1) as thread, waiting(home) as wait:
        with suppress(InterruptedError), store.transaction() as tx:
            tx.ensure_tables(NEWER)
            second = thread.submit(other.grow, [NEWER])
            wait()
            if not committed:
                raise InterruptedError
        second.result()
    assert home.ask(
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'sales'::regclass AND attname = 'canal'"
    ) == [(1,)]
    apply(store, 2, 2, before=head(1))  # one that knows the older version alone goes on beside it
    assert len(held(other, NEWER)) == 2


def test_tables_grow_between_batches_of_an_older_program(store: Store, other: Store, home: Base) -> None:
    """Its transaction ends first; whoever opens the newer version waits for it, and nobody is sent back."""
    apply(store, 1, 1)
    with ThreadPoolExecutor(1) as thread, waiting(home) as wait:
        with store.transaction({(FEED, EPOCH): head(1)}) as tx:
            tx.ensure_tables(CONTRACT)
            batch_id = tx.next_batch_id()
            tx.append(CONTRACT, flat(CONTRACT, [document(2)]), batch_id)
            second = thread.submit(other.grow, [NEWER])
            wait()
            tx.ensure_tables(CONTRACT)
            tx.append(CONTRACT, flat(CONTRACT, [document(3)]), batch_id)
            tx.record_incoming([incoming(batch_id, name(2))])
        second.result()
    assert len(held(other, NEWER)) == 3


def test_eight_that_open_a_newer_version_at_once(store: Store, home: Base) -> None:
    apply(store, 1, 1)
    start = threading.Barrier(8)

    def grow() -> None:
        with home.open() as mine:
            start.wait(30)
            mine.grow([NEWER])

    with ThreadPoolExecutor(8) as threads:
        for one in [threads.submit(grow) for _ in range(8)]:
            one.result()
    assert len(held(store, NEWER)) == 1


def test_a_key_that_two_bring_at_once_is_there_once(store: Store, other: Store, home: Base) -> None:
    apply(store, 1, 1)
    with ThreadPoolExecutor(1) as thread, waiting(home) as wait:

        def relayed() -> bool:
            with other.transaction({(POSTO, EPOCH): None}) as tx:
                batch_id, point = tx.next_batch_id(), tx.savepoint()
                try:
                    tx.append(CONTRACT, flat(CONTRACT, [document(2)]), batch_id)
                except KeyExistsError:
                    tx.rollback_to(point)
                    report = tx.merge(
                        CONTRACT, [flat(CONTRACT, [document(2)])], batch_id, RowOrder(POSTO, EPOCH)
                    )
                    return report.unchanged == 1
            return False

        with store.transaction({(FEED, EPOCH): head(1)}) as tx:
            batch_id = tx.next_batch_id()
            tx.append(CONTRACT, flat(CONTRACT, [document(2)]), batch_id)
            second = thread.submit(relayed)
            wait()
            tx.record_incoming([incoming(batch_id, name(2))])
        assert second.result()
    assert [one["id"] for one in held(store, CONTRACT)] == ["1", "2"]


def test_of_two_that_wait_for_each_other_one_comes_again(store: Store, other: Store, home: Base) -> None:
    apply(store, 1, 1)
    apply(store, 1, 1, feed=POSTO)
    barrier = threading.Barrier(2)

    def both(which: Store, *feeds: Feed) -> str:
        try:
            with which.transaction({(feeds[0], EPOCH): head(1)}):
                barrier.wait(30)
                with which.transaction({(feeds[1], EPOCH): head(1)}):
                    return "done"
        except TransportError as err:
            return err.code

    with ThreadPoolExecutor(2) as threads:
        found = {
            threads.submit(both, store, FEED, POSTO),
            threads.submit(both, other, POSTO, FEED),
        }
        assert sorted(one.result() for one in found) == ["done", "store-busy"]


def test_who_waits_too_long_comes_again(store: Store, home: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(postgres_connection.SESSION, "lock_timeout", "50ms")
    apply(store, 1, 1)
    with home.open() as hurried, store.transaction({(FEED, EPOCH): head(1)}):
        with pytest.raises(TransportError) as failure:
            apply(hurried, 2, 2, before=head(1))
        assert failure.value.code == "store-busy"
        assert hurried.standings() == {(FEED, EPOCH): head(1)}
    with home.open() as hurried:
        apply(hurried, 2, 2, before=head(1))


# ---------------------------------------------------------------------------------------------------- a connection that is lost


def kill(home: Base, store: Store) -> None:
    """End the store's connection from the server's side, and wait until it is gone."""
    with home.bare() as connection, connection.cursor() as cursor:
        pid = database(store).select("SELECT pg_backend_pid()")[0][0]
        cursor.execute("SELECT pg_terminate_backend($1::int, 10000)", [pid])
        assert cursor.fetchone() == (True,)


def test_lost_between_two_questions_it_is_made_again(store: Store, home: Base) -> None:
    apply(store, 1, 1)
    kill(home, store)
    assert store.standings() == {(FEED, EPOCH): head(1)}
    kill(home, store)
    apply(store, 2, 2, before=head(1))
    assert len(held(store, CONTRACT)) == 2


def test_lost_inside_a_transaction_nothing_happened_and_the_next_one_works(store: Store, home: Base) -> None:
    apply(store, 1, 1)

    def cut() -> None:
        with store.transaction({(FEED, EPOCH): head(1)}) as tx:
            batch_id = tx.next_batch_id()
            tx.append(CONTRACT, flat(CONTRACT, [document(2)]), batch_id)
            kill(home, store)
            tx.record_incoming([incoming(batch_id, name(2))])

    with pytest.raises(TransportError) as failure:
        cut()
    assert failure.value.code == "store-lost"
    assert store.standings() == {(FEED, EPOCH): head(1)}
    apply(store, 2, 2, before=head(1))
    assert len(held(store, CONTRACT)) == 2


def test_lost_between_the_work_and_its_commit_nothing_happened(
    store: Store, home: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(store, 1, 1)
    commit = store._commit

    def cut() -> None:
        kill(home, store)
        commit()

    with monkeypatch.context() as patch:
        patch.setattr(store, "_commit", cut)
        with pytest.raises(TransportError) as failure:
            apply(store, 2, 2, before=head(1))
    assert failure.value.code == "store-lost"
    assert store.standings() == {(FEED, EPOCH): head(1)}
    apply(store, 2, 2, before=head(1))


@pytest.mark.parametrize("when", ["before", "after"])
def test_lost_while_the_commit_is_under_way_the_outcome_is_asked_for(
    store: Store, home: Base, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The server committed, or not: the client cannot know from the connection, which broke in both cases."""
    apply(store, 1, 1)
    db = database(store)
    say = db._say

    def cut(statement: str) -> None:
        if statement != "COMMIT":
            return say(statement)
        if when == "after":
            say(statement)
            db._open = True  # as far as the client knows
        kill_quietly(home, db)
        db._drop()
        raise postgres_errors.lost(db.name)

    with monkeypatch.context() as patch:
        patch.setattr(db, "_say", cut)
        if when == "before":
            with pytest.raises(TransportError) as failure:
                apply(store, 2, 2, before=head(1))
            assert failure.value.code == "store-lost"
        else:
            apply(store, 2, 2, before=head(1))
    expected = 2 if when == "after" else 1
    assert store.standings() == {(FEED, EPOCH): head(expected)}
    assert len(held(store, CONTRACT)) == expected
    apply(store, expected + 1, 9, before=head(expected))


def kill_quietly(home: Base, db: PostgresDatabase) -> None:
    """The connection's end at the server, without a question on that connection."""
    with home.bare() as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'filesync'"
        )
        cursor.fetchall()


def test_what_became_of_it_is_asked_for_until_it_is_known(
    store: Store, home: Base, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may still be at it when the client is back: that transaction is waited for."""
    db = database(other)
    monkeypatch.setattr(postgres_database, "_ASK_AGAIN_S", 0.01)
    with home.bare() as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT pg_current_xact_id()::text")
        number = cursor.fetchone()[0]
        with ThreadPoolExecutor(1) as thread:
            asked = thread.submit(db._was_committed, number)
            cursor.execute("COMMIT")
            assert asked.result() is True
        cursor.execute("BEGIN")
        cursor.execute("SELECT pg_current_xact_id()::text")
        number = cursor.fetchone()[0]
        monkeypatch.setattr(postgres_database, "OUTCOME_PATIENCE_S", 0.05)
        with pytest.raises(TransportError, match="finds in the ledger"):
            db._was_committed(number)
        cursor.execute("ROLLBACK")
    assert db._was_committed(number) is False
    with pytest.raises(TransportError, match="finds in the ledger"):
        db._was_committed(str(int(number) + 1_000_000))  # as a standby sees it that took over and lags behind


def test_an_error_that_was_swallowed_is_no_commit(store: Store) -> None:
    """PostgreSQL answers COMMIT of a transaction that failed with a rollback, and no error."""
    apply(store, 1, 1)

    def careless() -> None:
        with store.transaction() as tx, suppress(KeyExistsError):
            tx.append(CONTRACT, flat(CONTRACT, [document(1)]), tx.next_batch_id())

    with pytest.raises(Exception, match="aborted"):
        careless()
    apply(store, 2, 2, before=head(1))


def test_a_report_whose_connection_was_lost_is_not_read_on(store: Store, home: Base) -> None:
    vendas = Registry.packaged().latest("vendas")
    assert vendas is not None

    def read(*, cut: bool) -> list[Group]:
        with store.reporting.agency(vendas, None, DAY) as day:
            if cut:
                kill(home, store)
            return list(day.clients)

    with pytest.raises(TransportError) as failure:
        read(cut=True)
    assert failure.value.code == "store-lost"
    assert read(cut=False) == []


# ---------------------------------------------------------------------------------------------------- a server that says no


def test_what_is_no_store_is_told_with_advice(postgresql: Server, home: Base) -> None:
    address = home.make()
    with pytest.raises(ConfigError, match="without a ledger") as missing:
        PostgresStore.open(address)
    assert missing.value.code == "store-missing"
    with pytest.raises(ConfigError) as refused:
        PostgresStore.open(postgresql.address("there_is_none"))
    assert refused.value.code == "store-refused"
    with pytest.raises(ConfigError, match="password") as wrong:
        PostgresStore.open(postgresql.address(home.database, password="wrong-secret"))
    assert wrong.value.code == "store-refused"
    assert "wrong-secret" not in str(wrong.value)
    assert postgresql.password not in str(missing.value) + str(refused.value)
    with pytest.raises(TransportError) as nobody:
        PostgresStore.open("postgresql://filesync:secret@127.0.0.1:1/x")
    assert nobody.value.code == "store-unreachable"
    assert "secret" not in str(nobody.value)


def test_an_account_without_rights_is_told(postgresql: Server, home: Base, store: Store) -> None:
    apply(store, 1, 1)
    postgresql.execute(
        home.database,
        "DROP ROLE IF EXISTS guest",
        "CREATE ROLE guest LOGIN PASSWORD 'guest'",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest",
    )
    with PostgresStore.open(postgresql.address(home.database, user="guest", password="guest")) as guest:
        assert guest.standings() == {(FEED, EPOCH): head(1)}
        with pytest.raises(ConfigError) as denied:
            apply(guest, 2, 2, before=head(1))
    assert denied.value.code == "store-denied"


def test_a_server_that_takes_no_changes_is_told(store: Store) -> None:
    db = database(store)
    db._begin("BEGIN READ ONLY")  # as a standby has it
    with pytest.raises(ConfigError) as failure:
        db.run("DELETE FROM fs_hole")
    db.rollback()
    assert failure.value.code == "store-readonly"


def test_only_utf8_will_do(postgresql: Server, home: Base) -> None:
    home.database = postgresql.new("template template0 encoding 'LATIN1' lc_collate 'C' lc_ctype 'C'")
    with pytest.raises(ConfigError, match="UTF8"):
        home.create()


def test_several_sites_share_a_database_by_schemas(postgresql: Server, home: Base) -> None:
    home.make()
    postgresql.execute(home.database, "CREATE SCHEMA one", "CREATE SCHEMA two")
    stores = [
        PostgresStore.create(home.where + f"?options=-csearch_path%3D{schema}", MATRIZ)
        for schema in ("one", "two")
    ]
    apply(stores[0], 1, 1)
    assert stores[1].standings() == {}
    with stores[0].transaction({(FEED, EPOCH): head(1)}) as tx:
        tx.record_incoming([incoming(tx.next_batch_id(), name(2))])
        apply(stores[1], 1, 1)  # neither waits for the other
    with pytest.raises(ConfigError, match="schema"):
        PostgresStore.open(home.where + "?options=-csearch_path%3Dthree")
    for store in stores:
        store.close()


def test_what_is_committed_is_on_the_disk_and_the_session_is_its_own(store: Store) -> None:
    settings = dict(
        database(store).select(
            "SELECT name::text, setting FROM pg_settings WHERE name IN ('synchronous_commit', 'lock_timeout', 'statement_timeout')"
        )
    )
    assert settings == {"synchronous_commit": "on", "lock_timeout": "10000", "statement_timeout": "0"}


def test_an_address_is_shown_without_its_password() -> None:
    assert shown("postgresql://ana:s%40cret@db.example:5433/loja?sslmode=require&password=x") == (
        "postgresql://ana@db.example:5433/loja"
    )
    assert shown("postgresql:///loja?service=x") == "postgresql:///loja?service=x"
    assert shown("postgresql://[::1]:5432/loja") == "postgresql://[::1]:5432/loja"


def test_every_table_sorts_by_code_points_and_keys_begin_with_the_site(store: Store, home: Base) -> None:
    with store.transaction() as tx:
        tx.ensure_tables(CONTRACT)
    assert home.ask(
        "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public' AND data_type = 'text' AND collation_name <> 'C'"
    ) == [(0,)]
    keys = home.ask(
        "SELECT c.relname::text, a.attname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] WHERE i.indisprimary AND c.relname LIKE 'sales%' ORDER BY 1"
    )
    assert keys == [("sales", "origem"), ("sales_formas", "origem"), ("sales_itens", "origem")]
    types = dict(
        home.ask(
            "SELECT column_name::text, data_type::text FROM information_schema.columns WHERE table_name = 'sales'"
        )
    )
    assert (types["dia"], types["ativo"], types["valor_centavos"]) == ("date", "boolean", "bigint")


def test_an_extra_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)
    with pytest.raises(ConfigError, match=r"filesync\[postgres\]"):
        PostgresStore.open("postgresql://x@127.0.0.1/x")
