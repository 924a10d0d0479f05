"""The first act: a day is sold and travels, and four things go wrong on the way.

- A payload of caixa-01's is damaged on the way.
- caixa-02's filesync still has an older contract, so that wrong sales get out of the house. One of its batches arrives twice.
- The posto's first batch is held up and arrives last.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from filesync.demo.sales import sales_of_day
from filesync.demo.shop import NOON, SALES, SITES, Shop, money, total, vendas
from filesync.language import _
from filesync.phrases import said
from filesync.protocol.identity import FileKind, parse_file_name

if TYPE_CHECKING:
    from pathlib import Path

BAD_SALES = 3


def sell(shop: Shop) -> None:
    """Each site sells; the sales lie where its till program leaves them."""
    shop.at(shop.day, NOON)
    shop.chapter(_("{day}: each sells a day").format(day=f"{shop.day:%d/%m/%Y}"))
    for site, count in SALES.items():
        shop.sold[site] = sales_of_day(site, SITES[site], shop.day, seed=shop.seed, count=count)
        shop.plain(
            _("{site}: {count} sales, {total}").format(
                site=site, count=count, total=money(total(shop.sold[site]))
            ),
            shop.drop(site),
        )
    wrong = [dict(sale) for sale in shop.sold["caixa-02"]]
    spoiled = [
        place for place, sale in enumerate(wrong) if sale["situacao"] == "concluida" and sale.get("itens")
    ][5 : 5 + BAD_SALES]
    for place in spoiled:
        wrong[place] = {**wrong[place], "total_centavos": wrong[place]["total_centavos"] + 1000}
    shop.leave("caixa-01", shop.sold["caixa-01"])
    shop.leave("caixa-02", wrong)
    # The posto's last hour is sold when its line is down (routine.py).
    shop.leave("posto-centro", shop.sold["posto-centro"][:-40])
    _older_contract(shop.dir / "caixa-02" / "schemas")


def travel(shop: Shop) -> None:
    """The days travel, and things go wrong on the way."""
    shop.chapter(_("The day's sales travel, and things go wrong on the way"))
    for site in SALES:
        report = shop.turn(site)
        batches = [batch for export in report.exported for batch in export.sealed]
        shop.plain(
            _("{site} sealed {count} batches, {size} KiB").format(
                site=site, count=len(batches), size=f"{sum(b.payload_bytes for b in batches) / 1024:.0f}"
            )
        )
    damaged = _damage(shop)
    shop.trouble(_("damaged: one byte of {file} changes on the way").format(file=damaged.name), damaged)
    _hold_up(shop)
    shop.trouble(
        _("out of order: the posto's first batch is held up, its later ones arrive"), shop.dir / "held-up"
    )
    report = shop.turn("matriz")
    for held in report.imported.set_aside:
        shop.plain(
            _("the matriz sets aside {name} ({code}): {message}").format(
                name=held.name, code=held.code, message=said(held.message)
            ),
            shop.dir / "matriz" / "quarantine" / held.peer,
        )
    for held in report.imported.waiting:
        shop.plain(_("the matriz waits with {name} ({code})").format(name=held.name, code=held.code))


def _damage(shop: Shop) -> Path:
    inbox = shop.dir / "matriz" / "inbox" / "caixa-01"
    path = sorted(inbox.glob("vendas.*.parquet"))[1]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x01
    path.write_bytes(data)
    return path


def _hold_up(shop: Shop) -> None:
    held = shop.dir / "held-up"
    held.mkdir()
    for path in sorted((shop.dir / "relay" / "matriz" / "inbox" / "posto-centro").iterdir()):
        parsed = parse_file_name(path.name)
        if parsed is not None and parsed.batch.id.seq == 1:
            path.rename(held / path.name)


def duplicate(shop: Shop) -> None:
    """A batch that was applied arrives once more."""
    archive = shop.dir / "matriz" / "archive" / f"{shop.day:%Y/%m/%d}"
    first = next(path for path in sorted(archive.glob("vendas.caixa-02.*.manifest.json")))
    stem = first.name.removesuffix(".manifest.json")
    for path in archive.glob(stem + ".*"):
        parsed = parse_file_name(path.name)
        if parsed is not None and parsed.kind is not FileKind.RECEIPT:
            shutil.copy(path, shop.dir / "matriz" / "inbox" / "caixa-02" / path.name)
    shop.trouble(_("twice: {name} arrives a second time").format(name=stem))
    for name in shop.turn("matriz").imported.replayed:
        shop.cured(
            _("the matriz knows {name} and answers with the same receipt; nothing is counted twice").format(
                name=name
            )
        )


def cure(shop: Shop) -> None:
    """What each trouble needs: another turn, the late files, or a correction at the till."""
    shop.chapter(_("Everything finds its way"))
    for path in sorted((shop.dir / "held-up").iterdir()):
        path.rename(shop.dir / "relay" / "matriz" / "inbox" / "posto-centro" / path.name)
    (shop.dir / "held-up").rmdir()
    shop.cured(_("the posto's first batch arrives; the ones that waited for it follow"))
    shop.cured(_("caixa-01 has no receipt for its damaged batch, and ships the same file again"))
    shop.leave("caixa-02", shop.sold["caixa-02"])
    shop.cured(
        _("caixa-02 corrects its {count} wrong sales; only these are sealed again").format(count=BAD_SALES),
        shop.drop("caixa-02"),
    )
    shop.until_quiet("caixa-01", "caixa-02", "posto-centro", "matriz")


def _older_contract(folder: Path) -> None:
    """What caixa-02's filesync was delivered with: `vendas` without its row rules."""
    schema = json.loads(json.dumps(vendas().schema))
    schema["x-filesync"]["rules"] = []
    folder.mkdir()
    (folder / "vendas.v1.json").write_text(json.dumps(schema, indent=2, ensure_ascii=False), encoding="utf-8")
