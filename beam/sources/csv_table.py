"""CSV and TSV, with a header that names the columns."""

import csv
import dataclasses
import io
from collections.abc import Iterator
from typing import Any, ClassVar

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from beam.records import Outcome, Rejected
from beam.sources import fields

_LARGEST_FIELD = 1 << 30  # a picture in base64
_TOO_MANY = "\0"  # the name of what has no name


@dataclasses.dataclass(frozen=True)
class CsvSource(fields.Files):
    r"""The columns are those of `JsonlSource`: image, image_base64, caption and so on, or are named by `columns`.

    An empty value is a missing one. What Python's csv module refuses ends the file there, with a reject that names
    the line.

    Attributes:
      delimiter: "," or "\t"; empty takes it from the file's name, .tsv or another.
    """

    name: ClassVar[str] = "csv"
    delimiter: str = ""

    def read(self) -> beam.PTransform:
        return _Read(self.paths(), self.columns, self.delimiter)


class _Read(beam.PTransform):
    def __init__(self, paths: list[str], columns: dict[str, str], delimiter: str) -> None:
        super().__init__()
        self._paths, self._columns, self._delimiter = paths, columns, delimiter

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        rows = pipeline | beam.Create(self._paths) | beam.Reshuffle() | "Rows" >> beam.FlatMap(_rows, self._delimiter)
        return rows | "Spread" >> beam.Reshuffle() | "Parse" >> beam.Map(_parse, self._columns)


def _rows(path: str, delimiter: str) -> Iterator[tuple[str, dict[str, Any]] | Rejected]:
    csv.field_size_limit(_LARGEST_FIELD)
    delimiter = delimiter or ("\t" if ".tsv" in path else ",")
    with FileSystems.open(path) as file:
        # What is no UTF-8 costs the row, not the file.
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.DictReader(text, delimiter=delimiter, restkey=_TOO_MANY)
        try:
            for row in reader:
                position = f"{path}:{reader.line_num}"
                if _TOO_MANY in row:
                    detail = f"{len(row[_TOO_MANY])} values more than the header has names"
                    yield Rejected("", position, "invalid_csv", detail)
                    continue
                try:
                    "".join(value or "" for value in row.values()).encode()
                except UnicodeEncodeError as error:
                    yield Rejected("", position, "invalid_utf8", f"byte 0x{ord(error.object[error.start]) - 0xDC00:x}")
                else:
                    yield position, {name: value for name, value in row.items() if value}
        except csv.Error as error:
            detail = f"{error}; the rest of the file was not read"
            yield Rejected("", f"{path}:{reader.line_num}", "invalid_csv", detail)


def _parse(row: tuple[str, dict[str, Any]] | Rejected, columns: dict[str, str]) -> Outcome:
    if isinstance(row, Rejected):
        return row
    position, values = row
    return fields.to_row(values, columns, position, CsvSource.name)
