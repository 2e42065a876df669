"""CSV and TSV: each line is a pair; its picture is base64, a path or a URI."""

import csv
import io
from collections.abc import Iterator
from typing import Any, ClassVar

from beam.records import Rejected
from beam.sources import compressed
from beam.sources.raw import InvalidRow, RawRow
from beam.sources.rows import RowSource
from models.settings.checks import settings_class

_MAX_FIELD = 1 << 29  # characters; the csv module's default limit is smaller than many pictures


@settings_class("CsvSource")
class CsvSource(RowSource):
    r"""Reads CSV and TSV files; see `RowSource` for columns and paths.

    The first line names the columns, unless `header` does. An empty field counts as missing.

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
            if not isinstance(value, str) or len(value) not in lengths:
                raise ValueError(f"CsvSource.{field} is {value!r}, but must be one character")

    def raw_rows(self, split: str) -> Iterator[RawRow | Rejected]:
        csv.field_size_limit(_MAX_FIELD)
        quoting: Any = csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE
        with compressed.opened(split, self.limits) as file:
            # Bytes that are not UTF-8 become lone surrogates, so that only their own row is dropped.
            text = io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
            reader = csv.reader(text, delimiter=self.delimiter, quotechar=self.quote or None, quoting=quoting)
            header = list(self.header)
            while True:
                line = reader.line_num + 1
                try:
                    fields = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield Rejected("", f"{split}:{line}", "invalid_csv", str(error))
                    continue
                if not header:
                    header = fields
                elif fields:
                    yield RawRow(split, line, (header, fields))

    def decode(self, content: tuple[list[str], list[str]]) -> dict[str, Any]:
        header, fields = content
        if len(fields) != len(header):
            detail = f"{len(fields)} fields, but the header has {len(header)}: {', '.join(header)}"
            raise InvalidRow("invalid_csv", detail)
        return {name: value or None for name, value in zip(header, fields, strict=True)}
