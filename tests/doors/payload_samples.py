"""A small contract with every column type, and documents for it, for the tests of readers and writers."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa

from filesync.contracts import Contract

_TEXT = {"type": "string"}
_WHOLE = {"type": "integer"}
_DATE = {"type": "string", "format": "date"}

CONTRACT = Contract.from_schema(
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:filesync:contract:provas:1",
        "title": "Provas",
        "description": "Documents with a column of every type.",
        "type": "object",
        "additionalProperties": False,
        "required": ["origem", "codigo"],
        "properties": {
            "origem": _TEXT,
            "codigo": _TEXT,
            "valor": _WHOLE,
            "ativo": {"type": "boolean"},
            "dia": _DATE,
            "nota": _TEXT,
            "itens": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["numero"],
                    "properties": {
                        "numero": _WHOLE,
                        "texto": _TEXT,
                        "dia": _DATE,
                        "certo": {"type": "boolean"},
                    },
                },
            },
            "avisos": {
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["numero"],
                    "properties": {"numero": _WHOLE},
                },
            },
        },
        "x-filesync": {
            "dataset": "provas",
            "version": 1,
            "key": ["origem", "codigo"],
            "lines": {"itens": ["numero"], "avisos": ["numero"]},
            "totals": {"valor": {"sum": "valor"}},
            "rules": [],
            "on_bad_rows": "quarantine",
            "late": "apply",
        },
    }
)


def document(number: int, **members: Any) -> dict[str, Any]:
    """A document as Python values; members that are given replace or complete it, None leaves one out."""
    full = {
        "origem": "caixa-01",
        "codigo": f"p-{number:06}",
        "valor": number * 100,
        "ativo": number % 2 == 0,
        "dia": dt.date(2025, 3, 1) + dt.timedelta(number % 28),
        "itens": [
            {"numero": line + 1, "texto": f"Linha {line}", "certo": True} for line in range(number % 4)
        ],
    } | members
    return {name: value for name, value in full.items() if value is not None}


def table(documents: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(documents, CONTRACT.arrow_schema)


def numbered(count: int, first: int = 0) -> pa.Table:
    return table([document(number) for number in range(first, first + count)])
