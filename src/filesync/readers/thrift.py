"""Reads structures in Thrift's compact protocol, as far as the footer and the page headers of Parquet need it.

Whole numbers, truths, structures and lists of structures are kept, by field number; everything else is stepped over. Hostile input
costs at most time and memory in proportion to its length: nesting and the lengths of lists are bounded.

A caller that meets the same forms of structure again and again may give a `Shortcut` for the elements of lists, which Python's
interpreter is too slow for.

Source: the Apache Thrift compact protocol specification. Not here: what the fields mean (parquet_pages.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Structure: TypeAlias = dict[int, Any]  # by field number: int | bool | Structure | list[Structure]
# (data, at, depth) -> the structure there and its end, or None. It must find exactly what `structure` would find.
Shortcut: TypeAlias = Callable[[bytes, int, int], tuple[Structure, int] | None]

NESTED_MAX = 8  # a footer nests 6 deep
LIST_MAX = 1000  # so also row groups in a file: 65 million documents in those of writers/parquet.py

_TRUE, _FALSE, _BYTE, _I16, _I64, _DOUBLE, _BINARY, _LIST, _STRUCT = 1, 2, 3, 4, 6, 7, 8, 9, 12


def no_shortcut(_data: bytes, _at: int, _depth: int) -> None:
    """For what is read once."""


def structure(
    data: bytes, at: int = 0, depth: int = 0, shortcut: Shortcut = no_shortcut
) -> tuple[Structure, int]:
    """The structure that begins at `at`, and where it ends. IndexError: the data end too early; ValueError: not Thrift."""
    fields: Structure = {}
    field = 0
    if depth > NESTED_MAX:
        raise ValueError("structures nested too deep")
    while head := data[at]:
        at += 1
        kind = head & 15
        if head > 15:
            field += head >> 4
        else:
            number, at = _varint(data, at)
            field = (number >> 1) ^ -(number & 1)
        if _I16 <= kind <= _I64:
            number = data[at]
            at += 1
            if number > 127:
                number, at = _varint(data, at - 1)
            fields[field] = (number >> 1) ^ -(number & 1)
        elif kind == _STRUCT:
            fields[field], at = structure(data, at, depth + 1, shortcut)
        elif kind == _LIST:
            found, at = _list(data, at, depth, shortcut)
            if found is not None:
                fields[field] = found
        elif kind in {_TRUE, _FALSE}:
            fields[field] = kind == _TRUE
        else:
            at = _skip(data, at, kind)
    return fields, at + 1


def _list(data: bytes, at: int, depth: int, shortcut: Shortcut) -> tuple[list[Structure] | None, int]:
    """A list of structures, or None for a list of anything else, and where it ends."""
    head = data[at]
    at += 1
    count, kind = head >> 4, head & 15
    if count == 15:
        count, at = _varint(data, at)
    if count > LIST_MAX:
        raise ValueError(f"a list of {count}")
    if kind != _STRUCT:
        for _ in range(count):
            at = _skip(data, at, kind)
        return None, at
    found = []
    for _ in range(count):
        element, at = shortcut(data, at, depth + 1) or structure(data, at, depth + 1, shortcut)
        found.append(element)
    return found, at


def _skip(data: bytes, at: int, kind: int) -> int:
    """Where a single value ends. In lists a truth takes a byte; as a field it stands in the field's head (see above)."""
    if kind == _BINARY:
        size, at = _varint(data, at)
        at += size
    elif _I16 <= kind <= _I64:
        _, at = _varint(data, at)
    elif kind in {_TRUE, _FALSE, _BYTE}:
        at += 1
    elif kind == _DOUBLE:
        at += 8
    else:  # sets, maps and lists in lists: Parquet has none
        raise ValueError(f"a value of type {kind}")
    if at > len(data):
        raise IndexError("a value goes beyond the data")
    return at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = data[at]
    at += 1
    if value < 128:
        return value, at
    value &= 127
    for shift in range(7, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number of more than 64 bits")
