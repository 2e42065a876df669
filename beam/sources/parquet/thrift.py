"""Reads structs of Thrift's compact protocol, in which Parquet writes the headers of pages."""

from typing import Any

from beam.sources.files import varints

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)
_DEEPEST = 8


def struct_at(content: bytes) -> tuple[dict[int, Any], int]:
    """Returns {number of a field: value} of the struct at the start, and its length; binaries and lists are None.

    Raises:
      IndexError: the content ends within the struct.
      EOFError: the content is no struct.
    """
    return _struct(content, 0, 0)


def _struct(content: bytes, place: int, depth: int) -> tuple[dict[int, Any], int]:
    if depth > _DEEPEST:
        raise EOFError("a Thrift struct is nested too deeply")
    fields: dict[int, Any] = {}
    number = 0
    while True:
        head = content[place]
        place += 1
        if head == 0:
            return fields, place
        kind, step = head & 15, head >> 4
        if step:
            number += step
        else:
            number, place = _integer(content, place)
        if kind in (_TRUE, _FALSE):
            fields[number] = kind == _TRUE
        else:
            fields[number], place = _value(content, place, kind, depth)


def _value(content: bytes, place: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in _INTEGERS:
        return _integer(content, place)
    if kind in (_BYTE, _DOUBLE):
        return None, place + (1 if kind == _BYTE else 8)
    if kind == _BINARY:
        size, place = varints.read(content, place)
        if place + size > len(content):
            raise IndexError("a binary is longer than the content")
        return None, place + size
    if kind in (_LIST, _SET):
        head = content[place]
        size, place = head >> 4, place + 1
        if size == 15:
            size, place = varints.read(content, place)
        for _ in range(size):
            one = head & 15
            _, place = (None, place + 1) if one in (_TRUE, _FALSE) else _value(content, place, one, depth + 1)
            if place > len(content):
                raise IndexError("a list is longer than the content")
        return None, place
    if kind == _STRUCT:
        return _struct(content, place, depth + 1)
    raise EOFError(f"Thrift has no type {kind} here")


def _integer(content: bytes, place: int) -> tuple[int, int]:
    value, place = varints.read(content, place)
    return (value >> 1) ^ -(value & 1), place
