"""What batches hold, as flat counts and sums that can be added up and compared; and ranges of numbers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from filesync.day.values import FeedClaim, Range

Content = dict[
    tuple[str, str], int
]  # ("batches", ""), ("documents", ""), ("rows", relation), ("total name", value)
Part = tuple[str, "Mapping[str, int] | None", "Mapping[str, Any] | None"]  # dataset, rows, totals


def content_of(
    batches: int, documents: int, rows: Mapping[str, int] | None, totals: Mapping[str, Any] | None
) -> Content:
    """Counts and sums, flat; what is 0 is left out, for a close need not mention it."""
    flat: Content = {("batches", ""): batches, ("documents", ""): documents}
    for relation, count in (rows or {}).items():
        flat["rows", relation] = count
    for name, total in (totals or {}).items():
        if type(total) is int:
            flat[f"total {name}", ""] = total
        else:
            for value, amount in total.items():
                flat[f"total {name}", value] = amount
    return {name: amount for name, amount in flat.items() if amount}


def added(parts: Iterable[Part]) -> Content:
    sums: Content = {}
    for dataset, rows, totals in parts:
        for name, amount in content_of(1, (rows or {}).get(dataset, 0), rows, totals).items():
            sums[name] = sums.get(name, 0) + amount
    return {name: amount for name, amount in sums.items() if amount}


def agrees(claim: FeedClaim, wanted: Content, got: Content) -> bool:
    """Whether all that the close mentions is so. One that is silent about a relation or a total is not made a liar by that."""
    if wanted == got:
        return True
    said = {("batches", ""), ("documents", ""), *(("rows", relation) for relation in claim.rows)}
    totals = {f"total {name}" for name in claim.totals}
    return all(
        wanted.get(name, 0) == got.get(name, 0)
        for name in {*wanted, *got}
        if name in said or name[0] in totals
    )


def without(numbers: Range, taken: set[int]) -> list[Range]:
    """The ranges that are left of `numbers` without those taken. As short as what is taken is, however long the range."""
    first, last = numbers
    left: list[Range] = []
    for seq in sorted(seq for seq in taken if first <= seq <= last):
        if seq > first:
            left.append((first, seq - 1))
        first = seq + 1
    if first <= last:
        left.append((first, last))
    return left
