"""`filesync restored`, as a shopkeeper reads it after a backup was put back."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

from cli_shop import DAY, filesync

from filesync.demo.sales import sales_of_day
from filesync.protocol.identity import Role

if TYPE_CHECKING:
    from pathlib import Path


def test_a_backup_is_put_back_and_the_till_goes_on(tmp_path: Path) -> None:
    for site, role in (("matriz", "matriz"), ("caixa-01", "caixa")):
        filesync("init", tmp_path / site, "--site", site, "--role", role)
    keys = {site: tmp_path / site / "keys" / "site_ed25519.pub" for site in ("matriz", "caixa-01")}
    till, matriz = ("-C", tmp_path / "caixa-01"), ("-C", tmp_path / "matriz")
    filesync(
        *till,
        "peer",
        "add",
        "matriz",
        "--role",
        "matriz",
        "--key",
        keys["matriz"],
        "--link",
        tmp_path / "matriz",
    )
    filesync(*matriz, "peer", "add", "caixa-01", "--role", "caixa", "--key", keys["caixa-01"])
    day = sales_of_day("caixa-01", Role.CAIXA, DAY, count=3)

    def sell(count: int) -> None:
        path = tmp_path / "day.jsonl"
        path.write_text("".join(json.dumps(sale) + "\n" for sale in day[:count]), encoding="utf-8")
        filesync(*till, "export", "vendas", "--from", path)
        for site in (till, matriz, till):
            filesync(*site, "turn", code=None)

    sell(1)
    database = tmp_path / "caixa-01" / "filesync.db"
    with sqlite3.connect(database) as source, sqlite3.connect(tmp_path / "backup.db") as copy:
        source.backup(copy)
    source.close()
    copy.close()
    assert "nothing here shows" in filesync(*till, "restored", "--reason", "why not", code=2).err
    sell(2)
    database.write_bytes((tmp_path / "backup.db").read_bytes())
    sell(3)
    status = filesync(*till, "status").out
    assert "this database is older than what was sent (filesync restored)" in status
    assert "--reason" in filesync(*till, "restored", code=2).err
    done = filesync(*till, "restored", "--reason", "disk failed").out
    assert "matriz had another batch under that number" in done
    assert "caixa-01 goes on as a new installation" in done
    for place in (till, matriz, till):
        filesync(*place, "turn")
    held = sqlite3.connect(tmp_path / "matriz" / "filesync.db")
    assert held.execute("select count(*), count(distinct venda_id) from vendas").fetchone() == (3, 3)
    held.close()
    assert "filesync restored" not in filesync(*till, "status").out
    again = json.loads(filesync(*till, "restored", "--reason", "sure", "--anyway", "--json").out)
    assert (again["signs"], again["owed"]) == ([], [])
