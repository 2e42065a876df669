"""Counts the rows of list columns in Parquet, and the values of a row, by the repetition levels.

pyarrow crashes if columns differ in rows, and a row of nulls takes no bytes in the file but much memory.
"""

from typing import Any

import numpy as np
import pyarrow

from beam.sources.files import varints

CODECS = ("UNCOMPRESSED", "SNAPPY", "GZIP", "BROTLI", "ZSTD")
"""Compressions that can be checked; LZ4 has several forms of one name."""
_RLE = 3  # the encoding of levels
_PIECE = 1 << 16  # groups of 8 levels that are unpacked at a time


def levels_of_page(stored: bytes, uncompressed: int, compression: str, details: dict[int, Any]) -> bytes:
    """Returns the encoded repetition levels of a data page of a list column.

    Args:
      stored: the page, as it lies in the file.
      uncompressed: its size after decompression, by its header (bytes).
      compression: name of the codec.
      details: Thrift fields of its header: DataPageHeader, or DataPageHeaderV2, which has field 6.

    Raises:
      EOFError: the levels are damaged.
      pyarrow.ArrowException, OSError: the page cannot be decompressed.
    """
    if 6 in details:
        return stored[: details[6]]
    if details.get(4, _RLE) != _RLE:
        raise EOFError("the repetition levels have an encoding that is not supported")
    page = stored if compression == "UNCOMPRESSED" else _decompressed(stored, uncompressed, compression)
    size = int.from_bytes(page[:4], "little")
    if size > len(page) - 4:
        raise EOFError("the repetition levels are longer than their page")
    return page[4 : 4 + size]


def _decompressed(stored: bytes, size: int, compression: str) -> bytes:
    return pyarrow.Codec(compression.lower()).decompress(stored, size, asbytes=True)


class RowLengths:
    """Counts the rows of a list column, page by page, and the values of its longest row.

    Attributes:
      rows: number of rows so far.
      longest: number of values of the longest row so far.
    """

    def __init__(self) -> None:
        self.rows = self.longest = 0
        self._current = 0  # values of the last row so far

    def add(self, levels: bytes, count: int, most: int) -> None:
        """Adds the levels of a page, in Parquet's hybrid of runs and packed bits; a level of 0 starts a row.

        Args:
          levels: the levels, encoded.
          count: number of levels.
          most: largest level of the column.

        Raises:
          EOFError: there are fewer levels.
        """
        place, width = 0, most.bit_length()
        while count > 0:
            try:
                head, place = varints.read(levels, place, most_bytes=5)
            except (IndexError, EOFError) as error:
                raise EOFError("the repetition levels end too early") from error
            if head & 1:
                size = (head >> 1) * width
                packed = self._add_packed(memoryview(levels)[place : place + size], count, width)
                if not packed:
                    raise EOFError("the repetition levels end too early")
                count -= packed
            else:
                run, size = min(head >> 1, count), (width + 7) // 8
                if not run or place + size > len(levels):
                    raise EOFError("the repetition levels end too early")
                self._add_run(run, any(levels[place : place + size]))
                count -= run
            place += size

    def _add_run(self, run: int, inside: bool) -> None:
        self.rows += 0 if inside else run
        self._current = self._current + run if inside else 1
        self.longest = max(self.longest, self._current)

    def _add_packed(self, packed: memoryview, count: int, width: int) -> int:
        """Adds up to `count` levels of `width` bits each, in pieces; returns the number of levels."""
        added = 0
        for start in range(0, len(packed), _PIECE * width):
            piece: np.ndarray = np.frombuffer(packed[start : start + _PIECE * width], np.uint8)
            bits: np.ndarray = np.unpackbits(piece, bitorder="little")
            levels: np.ndarray = bits[: len(bits) // width * width].reshape(-1, width)[: count - added]
            inside: np.ndarray = np.any(levels, axis=1)
            starts: np.ndarray = np.flatnonzero(~inside)
            ends = [-self._current, *starts.tolist(), len(inside)]
            self.rows += len(starts)
            self.longest = max(self.longest, int(np.diff(ends).max()))
            self._current = ends[-1] - ends[-2]
            added += len(inside)
        return added
