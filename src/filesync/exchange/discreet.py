"""What may be said of documents whose contract is encrypted: never a value, but that of their key. Pure.

Contracts hide values in what they find themselves (contracts/findings.py). Here is the rest: what a source could not read, documents
that are kept because they were refused, and the words of a mistake in the program. Of contracts that are not encrypted everything is said.
"""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from filesync.errors import FilesyncError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from filesync.contracts import Contract
    from filesync.protocol.receipt import Problem

#: Stands where a text would have been kept.
UNSAID: Final = '{"not shown": "it may hold a secret"}'


@contextmanager
def mistakes(contract: Contract) -> Iterator[None]:
    """Work with documents of a contract. A mistake in the program is told without its words: a library puts values into them."""
    try:
        yield
    except (FilesyncError, OSError):
        raise
    except Exception as error:
        if not contract.encrypted:
            raise
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise RuntimeError(
            f"{type(error).__name__} in {at.name}, line {at.lineno} of {at.filename}, while working with {contract.name}; "
            "its words are not shown, for they may hold a secret"
        ) from None


def text(contract: Contract, kept: str) -> str:
    """A text out of a source or payload, as it may be kept."""
    return UNSAID if contract.encrypted else kept


def problems(contract: Contract, found: Iterable[Problem]) -> list[Problem]:
    """What a source says is wrong, without what it found."""
    if not contract.encrypted:
        return list(found)
    return [
        replace(
            problem,
            message=f"line {problem.row}{problem.pointer or ''}: cannot be taken; what stands there is not shown, for it may be a secret",
        )
        for problem in found
    ]


def reason(contract: Contract, message: str) -> str:
    """Why a whole source cannot be read."""
    if not contract.encrypted:
        return message
    return (
        f"its content does not fit {contract.name}; what was found is not shown, for it may hold secrets: "
        f"compare it with `filesync contract show {contract.dataset}`"
    )


def columns(contract: Contract, table: pa.Table) -> pa.Table:
    """Refused documents as they may be kept: of an encrypted contract their keys alone."""
    if not contract.encrypted:
        return table
    return pa.table(
        [
            table.column(field.name) if field.name in contract.key else pa.nulls(len(table), field.type)
            for field in contract.arrow_schema
        ],
        schema=pa.schema([field.with_nullable(True) for field in contract.arrow_schema]),
    )
