"""P13: a day's postings against its billing rows, matched, coloured, added up and written; beside the same join in bare SQL.

    python -m bench.reconciling ours|bare KINDS DATABASE      prints seconds and peak memory as JSON; KINDS: bdf, or bdf,ca

Each run has a process and a copy of the store of its own. The bare side joins by tracking code alone, with the store's PRAGMAs: no
duplicates, no reversals, no attendance, no weaker key, no record of what was seen. It writes its rows and sums, too.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from statistics import median

from bench import bare
from bench.billing import AT, DAY, KINDS, make_store
from bench.clock import say, scratch, settle_disk
from bench.figures import Line, Part, Sizes, mebibytes
from bench.large import peak_bytes
from filesync.stores.reconciled import Colour
from filesync.stores.sqlite import SqliteStore

PEAK_BYTES_MAX = 600 << 20


def run(sizes: Sizes, work: Path) -> Part:
    part = Part()
    made = work / "made.db"
    make_store(made, sizes.rows)
    for kinds in (KINDS[:1], KINDS):
        _compare(part, sizes, work, made, kinds)
    return part


def _compare(part: Part, sizes: Sizes, work: Path, made: Path, kinds: tuple[str, ...]) -> None:
    found: dict[str, list[dict[str, float]]] = {"ours": [], "bare": []}
    for number in range(sizes.update_rounds):
        order = ("ours", "bare") if number % 2 == 0 else ("bare", "ours")
        for step in order:
            with scratch(work) as folder:
                found[step].append(_in_a_process(step, kinds, made, folder))
    seconds = {step: median(one["seconds"] for one in runs) for step, runs in found.items()}
    peak = max(one["peak_bytes"] for one in found["ours"])
    ratio = median(b["seconds"] / a["seconds"] for a, b in zip(found["ours"], found["bare"], strict=True))
    files = "BDF and C.A. each" if len(kinds) > 1 else "BDF"
    part.lines.append(
        Line(
            "P13", f"reconcile {sizes.rows:,} postings with as many rows of {files}",
            f"{seconds['ours']:.1f} s, {mebibytes(peak)} at peak", "bare SQL: the join by code alone, rows and sums written",
            f"{seconds['bare']:.1f} s", ratio, "≤ 600 MiB", peak <= PEAK_BYTES_MAX,
        )
    )  # fmt: skip


def _in_a_process(step: str, kinds: tuple[str, ...], made: Path, folder: Path) -> dict[str, float]:
    copy = folder / "filesync.db"
    shutil.copy(made, copy)
    settle_disk()
    done = subprocess.run(
        [sys.executable, "-m", "bench.reconciling", step, ",".join(kinds), str(copy)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    say(f"  {step} {','.join(kinds)}: {found['seconds']:.2f} s, peak {mebibytes(found['peak_bytes'])}")
    return found


def _ours(kinds: tuple[str, ...], path: Path) -> float:
    with SqliteStore.open(path) as store:
        for kind in set(KINDS) - set(kinds):  # as if it had not been imported
            store._db.run("UPDATE fs_incoming SET verdict = 'REJECTED' WHERE name LIKE ?1", (f"{kind}.%",))
        started = time.perf_counter()
        made = store.reconciling.reconcile(DAY, AT)
        seconds = time.perf_counter() - started
        colours = store.reconciling.days(DAY, DAY)[DAY]
    if sum(colours.values()) < made.sales or colours[Colour.GREEN] < made.sales * 0.95:
        raise AssertionError(f"expected most of {made.sales} postings to agree, got {colours}")
    return seconds


def _bare(kinds: tuple[str, ...], path: Path) -> float:
    sides = {kind: f"{kind}.valor_cobrado_centavos" for kind in kinds}
    agree = " AND ".join(f"{value} = p.valor_centavos" for value in sides.values())
    joins = " ".join(f"FULL JOIN {kind} ON {kind}.codigo_rastreio = p.codigo_rastreio" for kind in kinds)
    statements = (
        "BEGIN IMMEDIATE",
        *(f"CREATE INDEX by_code_{kind} ON {kind} (codigo_rastreio)" for kind in kinds),
        ("CREATE TABLE joined AS SELECT CASE WHEN p.valor_centavos IS NULL OR bdf.valor_cobrado_centavos IS NULL THEN 'red' "
        f"WHEN {agree} THEN 'green' ELSE 'yellow' END AS colour, p.origem, p.venda_id, p.numero, p.codigo_rastreio, p.servico, "
        f"p.valor_centavos, {', '.join(f'{value} AS {kind}' for kind, value in sides.items())} FROM (SELECT p.* FROM vendas v "
        "CROSS JOIN vendas_postagens p ON p.origem = v.origem AND p.venda_id = v.venda_id "
        f"WHERE v.data_movimento = '{DAY}' AND v.situacao <> 'cancelada') p {joins}"),
        "CREATE TABLE summed AS SELECT colour, origem, servico, count(*), sum(valor_centavos), sum(bdf) FROM joined GROUP BY 1, 2, 3",
        "COMMIT",
    )  # fmt: skip
    with closing(bare.connect(path)) as connection, closing(connection.cursor()) as cursor:
        started = time.perf_counter()
        for statement in statements:
            cursor.execute(statement)
        return time.perf_counter() - started


def main() -> None:
    step, kinds, path = sys.argv[1], tuple(sys.argv[2].split(",")), Path(sys.argv[3])
    seconds = {"ours": _ours, "bare": _bare}[step](kinds, path)
    print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main()
