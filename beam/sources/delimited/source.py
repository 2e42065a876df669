"""CSV and TSV: each line is a pair; its picture is base64, a path or a URI."""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any, ClassVar

from beam.records import Rejected
from beam.sources.delimited.records import Records
from beam.sources.files import compressed
from beam.sources.files.lines import LongLine
from beam.sources.rows.raw import InvalidRow, RawRow
from beam.sources.rows.source import RowSource
from models.settings.checks import settings_class

_ENDING = re.compile(r"\.\w{1,5}$")
_PICTURE_KINDS = (
    re.compile(r"[A-Za-z0-9+/]{40}"),  # base64
    re.compile(r"https?://\S+$", re.IGNORECASE),
    re.compile(r"\S+\.(jpe?g|png|gif|webp|bmp|tiff?)$", re.IGNORECASE),
)


@settings_class("CsvSource")
class CsvSource(RowSource):
    r"""Reads CSV and TSV files; see `RowSource` for columns and paths.

    The first line names the columns, unless `header` does. An empty field counts as missing. A line that breaks the
    rules of quotes is dropped alone: the source goes on with the next line, even inside the field that was open.

    Attributes:
      delimiter: the character between fields, such as "," or "\t".
      quote: the character around fields that contain delimiters; "" if quotes are plain text, as in many TSV files.
      header: names of the columns, for files without a header line; () takes them from the first line.
    """

    name: ClassVar[str] = "csv"
    example: ClassVar[str] = "pairs/*.csv"
    spread: ClassVar[bool] = True

    delimiter: str = ","
    quote: str = '"'
    header: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for field, lengths in (("delimiter", (1,)), ("quote", (0, 1))):
            value = getattr(self, field)
            if not isinstance(value, str) or len(value) not in lengths or value in ("\r", "\n", "\0"):
                raise ValueError(f"CsvSource.{field} is {value!r}, but must be one character, and no line end")
        if self.delimiter == self.quote:
            raise ValueError(f"CsvSource.delimiter and CsvSource.quote are both {self.quote!r}; change one")

    def raw_rows(self, split: str) -> Iterator[RawRow | Rejected]:
        with compressed.opened(split, self.limits) as file:
            # Bytes that are not UTF-8 become lone surrogates, so that only their own row is dropped.
            text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
            records = Records(text, self.delimiter, self.quote, self.limits.line_bytes)
            header = list(self.header) or self._first(records)
            if not header:
                return  # the file is empty
            self.require_columns(header)
            images = [header.index(name) for name in self.image_columns() if name in header]
            for number, line in records.starts():
                try:
                    if fields := self._fields(records, number, line, header, images):
                        yield RawRow(split, number, (header, fields))
                except InvalidRow as error:
                    yield Rejected("", f"{split}:{number}", error.reason, error.detail)

    def decode(self, content: tuple[list[str], list[str]]) -> dict[str, Any]:
        return {name: value or None for name, value in zip(*content, strict=True)}

    def _first(self, records: Records) -> list[str]:
        """The fields of the header line."""
        most = self.limits.header_bytes
        for number, line in records.starts():
            if isinstance(line, LongLine) or len(line) > most:
                size = line.size if isinstance(line, LongLine) else len(line)
                detail = f"the header has {size} bytes, but may have {most} (Limits.header_bytes); no row is read"
                raise InvalidRow("header_too_large", detail)
            if line.startswith(("\udcff\udcfe", "\udcfe\udcff")):
                raise InvalidRow("invalid_utf8", "the file is UTF-16; convert it to UTF-8. No row of it is read")
            try:
                if fields := records.fields(line):
                    return fields
            except csv.Error as error:
                raise InvalidRow("invalid_csv", f"line {number}, the header: {error}; no row is read") from error
        return []

    def _fields(
        self, records: Records, number: int, line: str | LongLine, header: list[str], images: list[int]
    ) -> list[str]:
        """The fields of the record that starts with this line, or [] for an empty line.

        Raises:
          InvalidRow: the line is no record; the lines after it are read again, each as the start of a record.
        """
        if isinstance(line, LongLine):
            most = self.limits.line_bytes
            detail = f"the line has {line.size} characters, but may have {most} (Limits.line_bytes)"
            raise InvalidRow("line_too_large", detail)
        try:
            fields = records.fields(line)
            if fields and len(fields) != len(header):
                raise csv.Error(f"{len(fields)} fields, but the header has {len(header)}: {', '.join(header)}")
            if records.last > number:
                self._require_no_row_inside(fields, records.lines, images)
        except csv.Error as error:
            where = f" (the quote that opens in line {number} ends in line {records.last})" * (records.last > number)
            records.back_to_second_line()
            raise InvalidRow("invalid_csv", f"{error}{where}; line {number} is dropped") from error
        return fields

    def _require_no_row_inside(self, fields: list[str], lines: list[str], images: list[int]) -> None:
        """Raises csv.Error if a quoted field holds a line that is itself a row: then the quote is a stray one.

        Args:
          fields: fields of a record of several lines.
          lines: its lines.
          images: numbers of the columns with pictures.
        """
        inside = [line for field in fields if "\n" in field or "\r" in field for line in field.splitlines()]
        rows = [(line, next(csv.reader([line], delimiter=self.delimiter, quotechar=self.quote), [])) for line in inside]
        first, last = ([part.strip(self.quote) for part in lines[at].split(self.delimiter)] for at in (0, -1))
        if len(first) == len(fields) and any(_alike(first[image], fields[image]) for image in images):
            rows.append(
                (lines[-1], last)
            )  # the first line is a whole row without its quote, so the last one may be, too
        for line, parts in rows:
            if len(parts) == len(fields) and any(_alike(parts[image], fields[image]) for image in images):
                raise csv.Error(
                    f"a quoted field holds {line[:100]!r}, which is a row of its own; in a quoted field, write a "
                    "quote twice"
                )


def _alike(one: str, other: str) -> bool:
    """Whether two texts are pictures of one kind: base64, URLs, files of pictures, one folder, or other numbers."""
    if any(kind.match(one) and kind.match(other) for kind in _PICTURE_KINDS):
        return True
    if " " in one and " " not in other:
        return False
    ending = _ENDING.search(other)
    if ending and one.endswith(ending[0]):
        return True
    folder = other.rpartition("/")[0]
    return (
        bool(folder and one.rpartition("/")[0] == folder) or _without_numbers(one) == _without_numbers(other) != other
    )


def _without_numbers(text: str) -> str:
    """The text with # in place of each number: rows may name their pictures img1, img2."""
    return re.sub(r"\d+", "#", text)
