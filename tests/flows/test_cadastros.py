"""The matriz keeps the cadastros, the tills work with them: told as a shop would tell it."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import adbc_driver_sqlite.dbapi as sqlite
import pytest
from network import DAY, Network, rows, sales, table

from filesync import config
from filesync.day.cadastros import Holding, current_documents, holdings
from filesync.demo import cadastros as demo
from filesync.errors import ConfigError, RejectedError
from filesync.exchange import quarantine
from filesync.protocol.envelope import encode
from filesync.protocol.identity import BatchName, Format, Mode, Role, parse_file_name
from filesync.protocol.manifest import Manifest
from filesync.protocol.receipt import Verdict
from filesync.writers.payload import payload_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from filesync.exchange.station import Station

TILLS = ("caixa-01", "caixa-02")


@pytest.fixture
def shop(network: Network) -> Network:
    """A matriz and two tills that reach its folder."""
    network.site("matriz", Role.MATRIZ)
    for till in TILLS:
        add_till(network, till)
    return network


def add_till(network: Network, till: str, *, pin: bool = True) -> None:
    network.site(till, Role.CAIXA)
    network.peer(till, "matriz", Role.MATRIZ, link="../matriz")
    network.peer("matriz", till, Role.CAIXA, pin=pin)


def product(code: str, price: int = 1000, since: str = "2026-01-01", **more: Any) -> dict[str, Any]:
    return {
        "origem": "matriz", "codigo": code, "descricao": f"Produto {code}", "unidade": "UN", "preco_centavos": price,
        "vigencia_inicio": since, "ativo": True, **more,
    }  # fmt: skip


def credential(matricula: str, sign: str = "a", **more: Any) -> dict[str, Any]:
    return {"origem": "matriz", "matricula": matricula, "senha_argon2id": phc(sign), "ativo": True, **more}


def phc(sign: str = "a") -> str:
    return f"$argon2id$v=19$m=65536,t=3,p=4${sign * 22}${sign * 43}"


def prices(station: Station, day: date = DAY) -> dict[str, int]:
    """What a till sells on a day, and for how much."""
    _, tables = current_documents(station.context, "produtos", day)
    found = [(row["codigo"], row["preco_centavos"]) for part in tables for row in part.to_pylist()]
    assert len(dict(found)) == len(found), "one price for each"
    return dict(found)


def send(network: Network, dataset: str, documents: list[dict[str, Any]], **how: Any) -> Any:
    return network["matriz"].seal(dataset, table(documents, dataset), **how)


# ---------------------------------------------------------------------------------------------------- going out


def test_a_full_update_reaches_two_tills_with_one_payload_and_a_receipt_each(shop: Network) -> None:
    for dataset, documents in (
        ("produtos", demo.produtos(DAY)),
        ("clientes", demo.clientes()),
        ("funcionarios", demo.funcionarios()),
        ("credenciais", demo.credenciais()),
    ):
        report = send(shop, dataset, documents, full=True)
        assert [batch.recipients for batch in report.sealed] == [TILLS]
        name = BatchName.parse(report.sealed[0].name)
        form = Format.JSONL_AGE if dataset == "credenciais" else Format.PARQUET
        copies = [shop.root / "matriz" / "outbox" / till / name.payload(form) for till in TILLS]
        assert len({path.stat().st_ino for path in copies}) == 1, "one payload, linked"
    shop.until_quiet("matriz", *TILLS)
    assert shop["matriz"].status().outbox == ()
    for till in TILLS:
        found = holdings(shop[till].context, DAY)
        assert [(one.dataset, one.active, one.inactive, one.behind, one.mode) for one in found] == [
            ("funcionarios", demo.STAFF, 0, 0, Mode.SNAPSHOT),
            ("credenciais", demo.STAFF, 0, 0, Mode.SNAPSHOT),
            ("clientes", demo.CLIENTS, 0, 0, Mode.SNAPSHOT),
            ("produtos", len(demo.produtos(DAY)), 0, 0, Mode.SNAPSHOT),
        ]
    state = shop["matriz"].context.store.outgoing_state([name.stem])[name.stem]
    assert state.recipients == dict.fromkeys(TILLS, Verdict.APPLIED)


def test_the_same_full_update_again_sends_nothing(shop: Network) -> None:
    for dataset, documents in (("produtos", demo.produtos(DAY)), ("credenciais", demo.credenciais())):
        assert send(shop, dataset, documents, full=True).sealed
        again = send(shop, dataset, documents[::-1], full=True)
        assert (again.sealed, again.unchanged) == ([], len(documents))
        assert send(shop, dataset, documents).sealed == []
        assert len(send(shop, dataset, documents, full=True, again=True).sealed) == 1, (
            "unless it is asked for"
        )


def test_only_what_changed_goes_out_with_atualiza_produtos(shop: Network) -> None:
    send(shop, "produtos", [product("P1"), product("P2")], full=True)
    report = send(shop, "produtos", [product("P1"), product("P2", 1200)])
    assert [batch.documents for batch in report.sealed] == [1]
    shop.until_quiet("matriz", *TILLS)
    assert prices(shop["caixa-02"]) == {"P1": 1000, "P2": 1200}


def test_a_till_knows_that_newer_cadastros_wait_at_the_matriz(shop: Network) -> None:
    assert holdings(shop["caixa-01"].context, DAY) == []
    send(shop, "produtos", [product("P1")], full=True)
    shop.until_quiet("matriz", *TILLS)
    held = holdings(shop["caixa-01"].context, DAY)[0]
    assert isinstance(held, Holding)
    assert held.batch is not None
    assert (held.batch.id.seq, held.business_date, held.behind) == (1, DAY, 0)
    send(shop, "produtos", [product("P1", 1100)])
    send(shop, "clientes", demo.clientes(), full=True)
    shop.turn("matriz")  # it writes its heartbeat
    for path in shop.outbox("matriz", "caixa-01"):
        path.rename(shop.root / path.name)  # the line breaks after the heartbeat
    shop.turn("caixa-01", "caixa-01")
    found = {
        one.dataset: (one.behind, one.applied_at is None) for one in holdings(shop["caixa-01"].context, DAY)
    }
    assert found == {"clientes": (1, True), "produtos": (1, False)}


# ---------------------------------------------------------------------------------------------------- a new till


def serve_products(shop: Network, documents: list[dict[str, Any]], name: str = "produtos.jsonl") -> Path:
    folder = shop.root / "matriz" / "drop" / "produtos"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(one) + "\n" for one in documents), encoding="utf-8")
    return folder / name


FROM_FILES = '\n[datasets.produtos.source]\nkind = "jsonl"\npath = "drop/produtos/*.jsonl"\n'


def test_a_till_added_later_begins_with_a_snapshot(shop: Network) -> None:
    shop.configure("matriz", FROM_FILES)
    goods = [product(f"P{number}") for number in range(5)]
    serve_products(shop, goods)
    shop.turn("matriz")
    shop.until_quiet("matriz", *TILLS)
    shop.stations.pop("matriz").close()
    add_till(shop, "caixa-03")
    exported = shop["matriz"].turn().exported[0]
    assert exported.begun_for == ("caixa-03",)
    assert [batch.recipients for batch in exported.sealed] == [(*TILLS, "caixa-03")]
    shop.until_quiet("matriz", *TILLS, "caixa-03")
    assert prices(shop["caixa-03"]) == prices(shop["caixa-01"]) == {f"P{number}": 1000 for number in range(5)}
    serve_products(shop, [*goods, product("P9")])
    later = shop["matriz"].turn().exported[0]
    assert [(batch.documents, later.begun_for) for batch in later.sealed] == [(1, ())], (
        "changes are enough now"
    )


def test_a_file_that_may_hold_changes_only_makes_no_snapshot_by_itself(shop: Network) -> None:
    shop.configure("matriz", FROM_FILES)
    path = serve_products(shop, [product("P1"), product("P2")])
    shop.until_quiet("matriz", *TILLS)
    path.unlink()
    serve_products(shop, [product("P2", 1300)], "mudancas.jsonl")
    shop.stations.pop("matriz").close()
    add_till(shop, "caixa-03")
    report = shop["matriz"].export("produtos")
    assert (report.begun_for, report.beginners) == ((), ("caixa-03",)), "it says so instead"
    shop.until_quiet("matriz", *TILLS, "caixa-03")
    assert prices(shop["caixa-01"]) == {"P1": 1000, "P2": 1300}, "nothing was taken away from anybody"
    assert prices(shop["caixa-03"]) == {}
    assert shop["matriz"].export("produtos").beginners == ("caixa-03",), "and says so again"
    whole = send(shop, "produtos", [product("P1"), product("P2", 1300)], full=True)
    assert whole.beginners == ()
    shop.until_quiet("matriz", *TILLS, "caixa-03")
    assert prices(shop["caixa-03"]) == {"P1": 1000, "P2": 1300}


def install_anew(shop: Network, till: str) -> None:
    """Its disk was lost; keys and settings were kept."""
    shop.stations.pop(till).close()
    folder = shop.root / till
    folder.rename(shop.root / f"{till} lost")
    (folder / "keys").mkdir(parents=True)
    for kept in ("keys/site_ed25519", "keys/site_ed25519.pub"):
        (folder / kept).write_bytes((shop.root / f"{till} lost" / kept).read_bytes())
    add_till(shop, till)


def test_a_till_that_is_installed_anew_begins_with_a_snapshot_by_itself(shop: Network) -> None:
    shop.configure("matriz", FROM_FILES)
    goods = [product(f"P{number}") for number in range(5)]
    serve_products(shop, goods)
    shop.until_quiet("matriz", *TILLS)
    serve_products(shop, [*goods, product("P9")])
    shop.until_quiet("matriz", *TILLS)
    shop.stations["matriz"].close()
    shop.stations.pop("matriz")
    text = (shop.root / "matriz" / config.FILE_NAME).read_text(encoding="utf-8")
    install_anew(shop, "caixa-02")
    (shop.root / "matriz" / config.FILE_NAME).write_text(text, encoding="utf-8")  # it knows the till already
    shop.turn("caixa-02")
    done = shop["matriz"].turn().exported[0]
    assert (done.begun_for, [batch.documents for batch in done.sealed]) == (("caixa-02",), [6])
    shop.turn("caixa-02")
    assert prices(shop["caixa-02"]) == prices(shop["caixa-01"])
    assert len(prices(shop["caixa-02"])) == 6
    shop.until_quiet("matriz", *TILLS)
    assert [case.code for till in TILLS for case in shop[till].status().quarantine] == []
    assert all(not feed.missing and not feed.rejected for feed in shop["matriz"].status().feeds)
    serve_products(shop, [*goods, product("P9", 1100)])
    later = shop["matriz"].turn().exported[0]
    assert [(batch.documents, later.begun_for) for batch in later.sealed] == [(1, ())]
    shop.until_quiet("matriz", *TILLS)
    assert prices(shop["caixa-02"])["P9"] == prices(shop["caixa-01"])["P9"] == 1100


def test_a_full_update_goes_to_a_till_that_was_installed_anew_even_where_nothing_changed(
    shop: Network,
) -> None:
    send(shop, "produtos", [product("P1")], full=True)
    shop.until_quiet("matriz", *TILLS)
    assert not send(shop, "produtos", [product("P1")], full=True).sealed
    text = (shop.root / "matriz" / config.FILE_NAME).read_text(encoding="utf-8")
    install_anew(shop, "caixa-02")
    (shop.root / "matriz" / config.FILE_NAME).write_text(text, encoding="utf-8")
    shop.turn("caixa-02", "matriz")
    assert send(shop, "produtos", [product("P1")], full=True).sealed
    shop.until_quiet("matriz", *TILLS)
    assert prices(shop["caixa-02"]) == {"P1": 1000}
    assert not send(shop, "produtos", [product("P1")], full=True).sealed, "once is enough"


def leave(shop: Network, till: str) -> str:
    """The matriz takes a till out of its settings; what they were."""
    shop.stations.pop("matriz").close()
    path = shop.root / "matriz" / config.FILE_NAME
    text = path.read_text(encoding="utf-8")
    head, _, rest = text.partition(f"[peers.{till}]")
    assert rest, text
    _, bracket, others = rest.partition("\n[")
    path.write_text(head + bracket.lstrip("\n") + others, encoding="utf-8")
    assert till not in shop["matriz"].context.settings.peers
    return text


def come_back(shop: Network, text: str) -> None:
    shop.stations.pop("matriz").close()
    (shop.root / "matriz" / config.FILE_NAME).write_text(text, encoding="utf-8")


def test_a_till_that_leaves_and_comes_back_does_not_wait_for_what_was_never_for_it(shop: Network) -> None:
    shop.configure("matriz", FROM_FILES)
    goods = [product("P1"), product("P2")]
    serve_products(shop, goods)
    shop.until_quiet("matriz", *TILLS)
    before = leave(shop, "caixa-02")
    for price in (1100, 1200):
        serve_products(shop, [product("P1", price), product("P2")])
        shop.until_quiet("matriz", "caixa-01")
    come_back(shop, before)
    done = shop["matriz"].turn().exported[0]
    assert done.begun_for == ("caixa-02",)
    shop.until_quiet("matriz", *TILLS)
    assert prices(shop["caixa-01"]) == prices(shop["caixa-02"]) == {"P1": 1200, "P2": 1000}
    feeds = [feed for site in ("matriz", *TILLS) for feed in shop[site].status().feeds]
    assert all(not feed.missing and not feed.rejected and not feed.open for feed in feeds)
    assert not any(shop[site].status().holes for site in ("matriz", *TILLS))
    serve_products(shop, [product("P1", 1300), product("P2")])
    later = shop["matriz"].turn().exported[0]
    assert [(batch.documents, later.begun_for) for batch in later.sealed] == [(1, ())], "changes again"
    shop.until_quiet("matriz", *TILLS)
    assert prices(shop["caixa-01"]) == prices(shop["caixa-02"]) == {"P1": 1300, "P2": 1000}


def test_one_who_came_back_and_got_a_change_first_still_waits_for_the_whole(shop: Network) -> None:
    send(shop, "produtos", [product("P1"), product("P2")])
    shop.until_quiet("matriz", *TILLS)
    before = leave(shop, "caixa-02")
    send(shop, "produtos", [product("P1", 1100)])
    shop.until_quiet("matriz", "caixa-01")
    come_back(shop, before)
    assert send(shop, "produtos", [product("P2", 1200)]).beginners == ("caixa-02",)
    assert send(shop, "produtos", [product("P2", 1300)]).beginners == ("caixa-02",), "and is said again"
    shop.until_quiet("matriz", *TILLS)
    assert prices(shop["caixa-02"]) == {"P1": 1000, "P2": 1000}, "not applied upon what it never had"
    assert send(shop, "produtos", [product("P1", 1100), product("P2", 1300)], full=True).beginners == ()
    shop.until_quiet("matriz", *TILLS)
    assert prices(shop["caixa-01"]) == prices(shop["caixa-02"]) == {"P1": 1100, "P2": 1300}
    assert not shop["caixa-02"].status().waiting


def test_a_beginning_that_is_given_up_is_made_again(shop: Network) -> None:
    send(shop, "produtos", [product("P1"), product("P2")])
    shop.until_quiet("matriz", *TILLS)
    before = leave(shop, "caixa-02")
    send(shop, "produtos", [product("P1", 1100)])
    shop.until_quiet("matriz", "caixa-01")
    come_back(shop, before)
    whole = send(shop, "produtos", [product("P1", 1100), product("P2")], full=True)
    assert whole.beginners == ()
    for till in TILLS:
        for path in shop.outbox("matriz", till):
            path.unlink()
    shop["matriz"].void("produtos.matriz.caixas", [3], reason="lost", by="Ana")
    shop.until_quiet("matriz", *TILLS)
    send(shop, "produtos", [product("P1", 1100), product("P2")], full=True)
    shop.until_quiet("matriz", *TILLS)
    assert prices(shop["caixa-01"]) == prices(shop["caixa-02"]) == {"P1": 1100, "P2": 1000}
    for site in ("matriz", *TILLS):
        assert not shop[site].status().waiting
        assert not shop[site].status().holes


def test_a_query_is_always_the_whole(shop: Network) -> None:
    legacy = shop.root / "legado.db"
    write_staff(legacy, {"M1": "a", "M2": "b"})
    shop.configure("matriz", CREDENTIALS_FROM_SQL)
    assert shop["matriz"].export("credenciais").sealed
    shop.until_quiet("matriz", *TILLS)
    shop.stations.pop("matriz").close()
    add_till(shop, "caixa-03")
    report = shop["matriz"].export("credenciais")
    assert (report.begun_for, [batch.documents for batch in report.sealed]) == (("caixa-03",), [2])
    shop.until_quiet("matriz", *TILLS, "caixa-03")
    assert {row["matricula"] for row in rows(shop["caixa-03"], "credenciais")} == {"M1", "M2"}


# ---------------------------------------------------------------------------------------------------- prices and days


def test_a_price_that_begins_tomorrow_is_not_current_today(shop: Network) -> None:
    tomorrow = DAY + timedelta(days=1)
    send(shop, "produtos", [product("P1", 1000), product("P1", 1250, tomorrow.isoformat()), product("P2")])
    shop.until_quiet("matriz", *TILLS)
    till = shop["caixa-01"]
    assert prices(till, DAY) == {"P1": 1000, "P2": 1000}
    assert prices(till, tomorrow) == {"P1": 1250, "P2": 1000}
    held = holdings(till.context, DAY)[0]
    assert (held.active, held.inactive, held.upcoming) == (2, 0, 1)
    assert holdings(till.context, tomorrow)[0].upcoming == 0
    assert prices(till, date(2025, 12, 31)) == {}, "nothing had begun"


def test_an_old_price_stays_current_until_the_new_one_begins(shop: Network) -> None:
    tomorrow = DAY + timedelta(days=1)
    send(shop, "produtos", [product("P1", 1000)], full=True)
    send(
        shop, "produtos", [product("P1", 1250, tomorrow.isoformat())], full=True
    )  # the old one is gone there
    shop.until_quiet("matriz", *TILLS)
    assert prices(shop["caixa-01"], DAY) == {"P1": 1000}
    assert prices(shop["caixa-01"], tomorrow) == {"P1": 1250}


def test_a_price_that_was_announced_and_taken_back_never_begins(shop: Network) -> None:
    tomorrow = DAY + timedelta(days=1)
    send(shop, "produtos", [product("P1", 1000), product("P1", 1250, tomorrow.isoformat())], full=True)
    send(shop, "produtos", [product("P1", 1000)], full=True)
    shop.until_quiet("matriz", *TILLS)
    assert prices(shop["caixa-01"], tomorrow) == {"P1": 1000}
    assert [row["preco_centavos"] for row in rows(shop["caixa-01"], "produtos")] == [1000]


def test_a_product_that_is_taken_away_is_inactive_and_does_not_vanish(shop: Network) -> None:
    send(shop, "produtos", [product("P1"), product("P2"), product("P2", 1100, "2026-06-01")], full=True)
    send(shop, "produtos", [product("P1")], full=True)
    shop.until_quiet("matriz", *TILLS)
    till = shop["caixa-02"]
    assert prices(till) == prices(till, date(2026, 7, 1)) == {"P1": 1000}
    assert {(row["codigo"], row["ativo"]) for row in rows(till, "produtos")} == {("P1", True), ("P2", False)}
    held = holdings(till.context, DAY)[0]
    assert (held.active, held.inactive, held.upcoming) == (1, 1, 0)
    send(shop, "produtos", [product("P1"), product("P2")], full=True)
    shop.until_quiet("matriz", *TILLS)
    assert prices(till, date(2026, 7, 1)) == {"P1": 1000, "P2": 1000}, "back, at the price of now"


def test_a_product_that_is_closed_by_a_change_does_not_come_back_at_an_older_price(shop: Network) -> None:
    send(shop, "produtos", [product("P1", 900, "2025-01-01"), product("P1", 1000)])
    send(shop, "produtos", [product("P1", 1000, ativo=False)])
    shop.until_quiet("matriz", *TILLS)
    assert prices(shop["caixa-01"]) == {}
    assert prices(shop["caixa-01"], date(2025, 6, 1)) == {"P1": 900}


# ---------------------------------------------------------------------------------------------------- secrets

CREDENTIALS_FROM_SQL = """
[datasets.credenciais.source]
kind = "sql"
database = "../legado.db"

[datasets.credenciais.source.queries]
credenciais = "select matricula, senha as senha_argon2id, ativo from acesso order by matricula"
"""


def write_staff(path: Path, staff: dict[str, str]) -> None:
    """The matriz' own program, with hashes (or whatever is put there) in its database."""
    with sqlite.connect(str(path), autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("drop table if exists acesso")
        cursor.execute("create table acesso (matricula text, senha text, ativo integer)")
        for matricula, sign in staff.items():
            cursor.execute(
                "insert into acesso values (?, ?, 1)", (matricula, phc(sign) if len(sign) == 1 else sign)
            )


def everything_but_databases(root: Path) -> dict[str, bytes]:
    """All files below a folder, but the databases, in which the tills (and the matriz' own program) keep their hashes."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".db" not in path.name
    }


def shown_anywhere(root: Path, *secrets: str) -> list[str]:
    """Files in whose content or name one of these texts can be seen."""
    return [
        name
        for name, data in everything_but_databases(root).items()
        if any(secret.encode() in data or secret in name for secret in secrets)
    ]


def test_hashes_reach_the_tills_and_are_seen_nowhere_else(shop: Network) -> None:
    shop.site("caixa-07", Role.CAIXA)
    shop.peer("caixa-07", "matriz", Role.MATRIZ, link="../matriz")
    shop.peer("matriz", "caixa-07", Role.CAIXA)
    shop.configure("matriz", '\n[groups]\nloja = ["caixa-01", "caixa-02"]\n')
    write_staff(shop.root / "legado.db", {"M1": "a", "M2": "b"})
    shop.configure("matriz", '\n[datasets.credenciais]\nto = "loja"\n' + CREDENTIALS_FROM_SQL)
    report = shop["matriz"].turn().exported[0]
    assert [batch.recipients for batch in report.sealed] == [TILLS]
    name = BatchName.parse(report.sealed[0].name)
    path = shop.root / "matriz" / "outbox" / "caixa-01" / name.payload(Format.JSONL_AGE)
    assert path.read_bytes().startswith(b"age-encryption.org/v1\n")
    # caixa-07 serves the same folders, and gets hold of the file: it cannot open it.
    stolen = shop.root / "caixa-07" / "inbox" / "matriz" / path.name
    stolen.parent.mkdir()
    stolen.write_bytes(path.read_bytes())
    with pytest.raises(RejectedError, match="does not open"):
        decrypted(shop, "caixa-07", stolen)
    shop.until_quiet("matriz", *TILLS, "caixa-07")
    for till in TILLS:
        assert [row["senha_argon2id"] for row in rows(shop[till], "credenciais")] == [phc("a"), phc("b")]
    assert rows(shop["caixa-07"], "credenciais") == []
    assert rows(shop["matriz"], "credenciais") == []
    shop.close()
    assert shown_anywhere(shop.root, phc("a"), "a" * 22, "b" * 22, "argon2id$") == []


def decrypted(shop: Network, site: str, path: Path) -> bytes:
    from filesync.protocol.encryption import decrypt

    return decrypt(path.read_bytes(), config.load(shop.root / site).key)


@pytest.mark.parametrize(
    "wrong",
    [
        "segredo123",
        "$argon2i$v=19$m=65536,t=3,p=4$" + "x" * 22 + "$" + "x" * 43,
        "$2b$12$" + "segredo" * 7,
        phc("a")[:-20],
    ],
)
def test_anything_but_an_argon2id_hash_is_refused_at_sealing_and_shown_nowhere(
    shop: Network, wrong: str
) -> None:
    write_staff(shop.root / "legado.db", {"M1": "a", "M2": wrong})
    shop.configure("matriz", CREDENTIALS_FROM_SQL)
    with pytest.raises(RejectedError, match="nothing was sealed") as caught:
        shop["matriz"].export("credenciais")
    assert "M2" in caught.value.message, "who it is may be said"
    report = shop["matriz"].turn()
    assert [held.code for held in report.failed_sources] == ["bad-rows"]
    case = quarantine.cases(shop["matriz"].context)[0]
    assert case.problems[0].pointer == "/senha_argon2id"
    assert shop.outbox("matriz", "caixa-01") == []
    said = json.dumps([str(caught.value), str(report), str(case)])
    shop.close()
    for secret in (wrong, wrong[:12], phc("a"), "a" * 22):
        assert secret not in said
        assert shown_anywhere(shop.root, secret) == []


def test_a_dropped_file_that_cannot_be_read_is_not_repeated_in_a_note(shop: Network) -> None:
    shop.configure("matriz", '\n[datasets.credenciais.source]\nkind = "csv"\npath = "../fora/*.csv"\n')
    (shop.root / "fora").mkdir()
    source = shop.root / "fora" / "senhas.csv"
    head = "matricula,senha_argon2id,ativo\n"
    secrets = [phc("a"), "segredo123", "talvez-segredo"]
    for text in (
        f"M1,{secrets[0]},true\n",  # no head: the first line would be one
        f"{head}M1,{secrets[1]},{secrets[2]}\n",  # a value that is none
        f"{head}M1,{secrets[1]}\n",  # a line with too few cells
        f'{head}M1,"{secrets[1]}\n',  # a quote that nobody closes
    ):
        source.write_text(text, encoding="utf-8")
        try:
            said = str(shop["matriz"].export("credenciais"))
        except RejectedError as err:
            said = str(err)
        said += str(shop["matriz"].turn()) + str(quarantine.cases(shop["matriz"].context))
        assert not [secret for secret in secrets if secret in said], said
        assert shown_anywhere(shop.root / "matriz", *secrets) == []
    assert shop.outbox("matriz", "caixa-01") == []


def test_no_credentials_for_a_till_whose_key_is_not_known(shop: Network) -> None:
    add_till(shop, "caixa-03", pin=False)
    with pytest.raises(ConfigError, match="no key is known of caixa-03") as caught:
        send(shop, "credenciais", [credential("M1")], full=True)
    assert caught.value.code == "recipient-key-missing"
    assert shop["matriz"].status().outbox == ()


def test_a_till_with_a_new_key_says_so_and_is_sent_them_again(shop: Network) -> None:
    """caixa-02's key was replaced, and nobody told the matriz."""
    old = config.pinned_path(shop.root / "matriz", "caixa-02").read_text(encoding="utf-8")
    config.key_path(shop.root / "caixa-02").unlink()
    from filesync.protocol.signing import SigningKey

    new = SigningKey.generate()
    config.write_private(config.key_path(shop.root / "caixa-02"), new.to_openssh())
    send(shop, "credenciais", [credential("M1")], full=True)
    shop.turn("caixa-02")
    assert shop.codes("caixa-02") == ["not-readable-here"]
    assert rows(shop["caixa-02"], "credenciais") == []
    pinned = config.pinned_path(shop.root / "matriz", "caixa-02")
    assert pinned.read_text(encoding="utf-8") == old
    pinned.write_text(new.public.to_openssh() + "\n", encoding="utf-8")
    shop.stations.pop("matriz").close()
    shop.until_quiet("matriz", *TILLS)
    again = send(shop, "credenciais", [credential("M1")], full=True)
    assert [batch.recipients for batch in again.sealed] == [TILLS], "though it is the same snapshot"
    shop.until_quiet("matriz", *TILLS)
    assert len(rows(shop["caixa-02"], "credenciais")) == 1


def test_credentials_that_come_in_clear_are_refused(shop: Network) -> None:
    """A program that writes batches itself, and has the matriz' key, forgets to encrypt."""
    contract = shop["matriz"].context.contracts.latest("credenciais")
    assert contract is not None
    data, written = payload_bytes(Format.JSONL, contract, table([credential("M1")], "credenciais"))
    send(shop, "credenciais", [credential("M1")], full=True)
    outbox = shop.root / "matriz" / "outbox" / "caixa-01"
    true = next(path for path in outbox.iterdir() if path.name.endswith(".manifest.json"))
    signed = json.loads(true.read_text(encoding="utf-8"))["signed"]
    for path in shop.outbox("matriz", "caixa-01"):
        path.unlink()
    parsed = parse_file_name(true.name)
    assert parsed is not None
    name = BatchName(parsed.batch.id, parsed.batch.business_date, written.sha256[:12])
    signed["payload"] = {
        "file": name.payload(Format.JSONL), "format": "jsonl", "bytes": written.bytes, "sha256": written.sha256,
    }  # fmt: skip
    assert Manifest.from_signed(signed).name == name
    inbox = shop.root / "caixa-01" / "inbox" / "matriz"
    inbox.mkdir(exist_ok=True)
    (inbox / name.payload(Format.JSONL)).write_bytes(data)
    (inbox / name.manifest).write_bytes(encode(signed, shop["matriz"].context.settings.key))
    report = shop["caixa-01"].import_()
    assert [(batch.verdict, batch.problems[0].code) for batch in report.applied] == [
        (Verdict.REJECTED, "not-encrypted")
    ]
    assert rows(shop["caixa-01"], "credenciais") == []


def test_a_changed_credential_reaches_the_till_encrypted_too(shop: Network) -> None:
    send(shop, "credenciais", [credential("M1"), credential("M2", "b")], full=True)
    shop.until_quiet("matriz", *TILLS)
    changed = send(shop, "credenciais", [credential("M1", "c"), credential("M2", "b")])
    assert [batch.documents for batch in changed.sealed] == [1]
    gone = send(shop, "credenciais", [credential("M1", "c")], full=True)
    assert [batch.documents for batch in gone.sealed] == [1]
    shop.until_quiet("matriz", *TILLS)
    held = {
        row["matricula"]: (row["senha_argon2id"], row["ativo"])
        for row in rows(shop["caixa-01"], "credenciais")
    }
    assert held == {"M1": (phc("c"), True), "M2": (phc("b"), False)}
    shop.close()
    assert shown_anywhere(shop.root, phc("a"), phc("b"), phc("c")) == []


def test_what_a_till_shows_of_credentials_holds_no_hash(shop: Network) -> None:
    send(shop, "credenciais", [credential("M1", trocar_no_proximo_acesso=True)], full=True)
    shop.until_quiet("matriz", *TILLS)
    _, tables = current_documents(shop["caixa-01"].context, "credenciais", DAY)
    assert [row for part in tables for row in part.to_pylist()] == [
        {
            "origem": "matriz",
            "matricula": "M1",
            "versao": None,
            "trocar_no_proximo_acesso": True,
            "ativo": True,
        }
    ]


def test_any_dataset_may_travel_encrypted(shop: Network) -> None:
    report = send(shop, "clientes", demo.clientes(), full=True, format=Format.JSONL_AGE)
    assert report.sealed
    shop.until_quiet("matriz", *TILLS)
    assert len(rows(shop["caixa-01"], "clientes")) == demo.CLIENTS
    assert send(shop, "clientes", demo.clientes(), full=True).sealed == []
    shop.close()
    assert shown_anywhere(shop.root, demo.clients(1)[0].nome) == []


def test_a_site_reads_its_own_encrypted_sales_but_not_its_credentials(shop: Network) -> None:
    from filesync.readers.payload import read_payload

    shop["caixa-01"].seal("vendas", table(sales()), format=Format.JSONL_AGE)
    send(shop, "credenciais", [credential("M1")], full=True)
    own = {site: config.load(shop.root / site).key for site in ("caixa-01", "matriz")}
    for site, peer, dataset in (("caixa-01", "matriz", "vendas"), ("matriz", "caixa-01", "credenciais")):
        contract = shop[site].context.contracts.latest(dataset)
        assert contract is not None
        path = next(path for path in shop.outbox(site, peer) if path.name.endswith(".jsonl.age"))
        if dataset == "vendas":
            assert (
                sum(part.count for part in read_payload(path, Format.JSONL_AGE, contract, key=own[site]))
                == 12
            )
        else:
            with pytest.raises(RejectedError, match="does not open"):
                list(read_payload(path, Format.JSONL_AGE, contract, key=own[site]))


def test_a_mistake_in_the_program_is_told_without_the_secret(
    shop: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library that puts what it worked with into its error."""
    import io
    import traceback

    from filesync.cli.journal import LogForm, open_log

    write_staff(shop.root / "legado.db", {"M1": "a"})
    shop.configure("matriz", CREDENTIALS_FROM_SQL)

    def broken(*arguments: object, **named: object) -> object:
        raise ValueError(f"cannot work with {phc('a')}")

    def told(step: str) -> str:
        crashes: list[tuple[str, Exception]] = []
        shop[step].turn(crashed=lambda part, error: crashes.append((part, error)))
        assert len(crashes) >= 1
        said = "".join("".join(traceback.format_exception(error)) for _, error in crashes)
        for form in LogForm:
            stream = io.StringIO()
            open_log(form, step, shop.clock, stream).error("mistake", exc_info=crashes[0][1])
            said += stream.getvalue()
        return said

    with monkeypatch.context() as patch:
        patch.setattr("filesync.exchange.outgoing.write_payload", broken)
        sealing = told("matriz")
    shop.turn("matriz")
    with monkeypatch.context() as patch:
        patch.setattr("filesync.contracts.contract.Contract.flatten", broken)
        applying = told("caixa-01")
    for said in (sealing, applying):
        assert "ValueError in broken" in said
        assert "a" * 22 not in said
    shop.until_quiet("matriz", *TILLS)
    assert len(rows(shop["caixa-01"], "credenciais")) == 1, "and nothing was lost"
