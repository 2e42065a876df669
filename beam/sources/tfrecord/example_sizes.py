"""Counts the values of a serialized tf.Example before protobuf parses it: empty values take much memory there.

A record of 200 MB may hold 100 million features of 2 bytes each, which parsed take more than 10 GB.
"""

from collections.abc import Iterator

from beam.sources.files import varints

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FLOAT_LIST, _INT64_LIST = 2, 3  # fields of tf.train.Feature


def may_exceed(example: bytes, most: int) -> bool:
    """Whether the Example holds more than `most` features and values together, or is no valid Example."""
    view = memoryview(example)
    count = 0
    try:
        for _, features in _fields(view):
            for _, entry in _fields(features):
                for number, feature in _fields(entry):
                    count += 1
                    for kind, values in _fields(feature) if number == 2 else ():
                        for _, value in _fields(values):
                            count += max(1, _packed(kind, value))
                            if count > most:
                                return True
                if count > most:
                    return True
    except (IndexError, EOFError, ValueError):
        return True
    return False


def _packed(kind: int, value: memoryview) -> int:
    """The largest number of numbers in a packed list; 0 for bytes."""
    if kind == _FLOAT_LIST:
        return len(value) // 4
    return sum(byte < 0x80 for byte in bytes(value)) if kind == _INT64_LIST else 0


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yields (number, content) of each field of a message; the content of a number is empty."""
    place = 0
    while place < len(message):
        tag, place = varints.read(message, place)
        kind = tag & 7
        size = 0
        if kind == _BYTES:
            size, place = varints.read(message, place)
        elif kind == _VARINT:
            _, place = varints.read(message, place)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if place + size > len(message):
            raise IndexError("a field is longer than its message")
        yield tag >> 3, message[place : place + size] if kind == _BYTES else message[:0]
        place += size
