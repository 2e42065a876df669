"""Cuts a CSV file into records. After a broken record, reading goes on with its second line."""

import collections
import csv
import sys
from collections.abc import Iterator
from typing import IO, Any

from beam.sources.files import lines
from beam.sources.files.lines import LongLine

csv.field_size_limit(1 << 29)  # characters; the default limit is smaller than many pictures


class Records:
    """The records of a CSV file, each of one line, or of several if a quoted field holds line ends.

    The lines of a broken record after its first are read again, so one stray quote costs one line. No line is read more
    than a few times: a line can only lie inside the open quotes of the record before it and start records itself.
    """

    def __init__(self, file: IO[str], delimiter: str, quote: str, most: int) -> None:
        """Stores the arguments; `most` is the largest memory of one record (bytes)."""
        self._lines = enumerate(lines.bounded(file, most, ("\n", "\r")), start=1)
        self._delimiter, self._quote, self._most = delimiter, quote, most
        self._again: collections.deque[tuple[int, str | LongLine]] = collections.deque()
        self._record: list[tuple[int, str | LongLine]] = []
        self._bytes = 0
        self._handed_out = 0
        self._reader: Any = None
        if quote:
            self._reader = csv.reader(self, delimiter=delimiter, quotechar=quote, strict=True)

    @property
    def last(self) -> int:
        """The number of the last line of the record."""
        return self._record[-1][0]

    @property
    def lines(self) -> list[str]:
        """The lines of the record, without their ends."""
        return [line.rstrip("\r\n") for _, line in self._record if isinstance(line, str)]

    def starts(self) -> Iterator[tuple[int, str | LongLine]]:
        """Yields (number, text) of the first line of each record; `fields` then reads the rest of the record."""
        while (line := self._next_line()) is not None:
            self._record = [line]
            yield line

    def fields(self, line: str) -> list[str]:
        """Returns the fields of the record that starts with this line, which `starts` has yielded; [] if it is empty.

        Raises:
          csv.Error: the record breaks the rules of quotes, or does not end within the limits.
        """
        if "\0" in line:
            raise csv.Error("the line contains NUL")
        if self._quote not in line or not self._quote:
            bare = line.rstrip("\r\n")
            return bare.split(self._delimiter) if bare else []
        self._bytes = self._handed_out = 0
        return next(self._reader)

    def back_to_second_line(self) -> None:
        """Makes the record one line long; the lines after it start records again."""
        self._again.extendleft(reversed(self._record[1:]))
        del self._record[1:]

    def _next_line(self) -> tuple[int, str | LongLine] | None:
        return self._again.popleft() if self._again else next(self._lines, None)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Hands a line of the record to csv.reader, which asks for the next one as long as a quote is open."""
        if self._handed_out == len(self._record):
            line = self._next_line()
            if line is None:
                raise csv.Error("the quote is still open at the end of the file")
            self._record.append(line)
        _, text = self._record[self._handed_out]
        self._handed_out += 1
        self._bytes += sys.getsizeof(text)
        if isinstance(text, LongLine) or self._bytes > self._most:
            raise csv.Error(f"the quote does not end within {self._most} bytes (Limits.line_bytes)")
        return text
