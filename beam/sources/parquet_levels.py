"""Counts the rows of list columns in Parquet by their repetition levels: pyarrow crashes if other columns differ."""

from typing import Any

import numpy as np
import pyarrow

CODECS = ("UNCOMPRESSED", "SNAPPY", "GZIP", "BROTLI", "ZSTD")
"""Compressions that can be checked; LZ4 has several forms of one name."""
_RLE = 3  # the encoding of levels


def rows_of_page(stored: bytes, uncompressed: int, compression: str, details: dict[int, Any], most: int) -> int:
    """Returns the number of rows that start in a data page of a list column.

    Args:
      stored: the page, as it lies in the file.
      uncompressed: its size after decompression, by its header (bytes).
      compression: name of the codec.
      details: Thrift fields of its header: DataPageHeader, or DataPageHeaderV2, which has field 6.
      most: largest repetition level of the column.

    Raises:
      EOFError: the levels are damaged.
      pyarrow.ArrowException, OSError: the page cannot be decompressed.
    """
    if 6 in details:
        levels = stored[: details[6]]
    elif details.get(4, _RLE) != _RLE:
        raise EOFError("the repetition levels have an encoding that is not supported")
    else:
        page = stored if compression == "UNCOMPRESSED" else _decompressed(stored, uncompressed, compression)
        size = int.from_bytes(page[:4], "little")
        if size > len(page) - 4:
            raise EOFError("the repetition levels are longer than their page")
        levels = page[4 : 4 + size]
    return _zeros(levels, details[1], most.bit_length())


def _decompressed(stored: bytes, size: int, compression: str) -> bytes:
    return pyarrow.Codec(compression.lower()).decompress(stored, size, asbytes=True)


def _zeros(levels: bytes, count: int, width: int) -> int:
    """The number of zeros among `count` values of `width` bits, in Parquet's hybrid of runs and packed bits."""
    zeros = place = 0
    while count > 0:
        head, place = _varint(levels, place)
        if head & 1:
            size = (head >> 1) * width
            packed: np.ndarray = np.frombuffer(levels[place : place + size], np.uint8)
            bits: np.ndarray = np.unpackbits(packed, bitorder="little")
            values: np.ndarray = bits[: len(bits) // width * width].reshape(-1, width)[:count]
            if not len(values):
                raise EOFError("the repetition levels end too early")
            zeros += int(np.count_nonzero(~np.any(values, axis=1)))
            count -= len(values)
        else:
            run, size = min(head >> 1, count), (width + 7) // 8
            if not run or place + size > len(levels):
                raise EOFError("the repetition levels end too early")
            zeros += run if not any(levels[place : place + size]) else 0
            count -= run
        place += size
    return zeros


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(content) and shift < 35:
        byte = content[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise EOFError("the repetition levels end too early")
