"""Parquet: plain tables, and those that img2dataset writes, with the pictures inside."""

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import apache_beam as beam

from beam.records import Outcome, Rejected
from beam.sources import fields

_BATCH = 64
_IMG2DATASET = ("jpg", "png", "webp")  # names it gives the column of the encoded picture


@dataclasses.dataclass(frozen=True)
class ParquetSource(fields.Files):
    """The columns are those of `JsonlSource`, with image_bytes for a picture inside, or are named by `columns`.

    img2dataset's tables work as they are: the picture is in jpg, png or webp, and rows it could not fetch are rejected.
    """

    name: ClassVar[str] = "parquet"

    def read(self) -> beam.PTransform:
        return _Read(self.paths(), self.columns)


class _Read(beam.PTransform):
    def __init__(self, paths: list[str], columns: dict[str, str]) -> None:
        super().__init__()
        self._paths, self._columns = paths, columns

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        groups = pipeline | beam.Create(self._paths) | "Groups" >> beam.FlatMap(_row_groups) | beam.Reshuffle()
        return groups | "Rows" >> beam.FlatMap(_rows, self._columns)


def _row_groups(path: str) -> Iterator[tuple[str, int, int]]:
    """(path, row group, number of rows before it); one group -1 where the file cannot be read."""
    import pyarrow
    from pyarrow import parquet

    try:
        with fields.opened(path) as file:
            metadata = parquet.ParquetFile(file).metadata
            before = 0
            for group in range(metadata.num_row_groups):
                yield path, group, before
                before += metadata.row_group(group).num_rows
    except (pyarrow.ArrowInvalid, OSError):
        yield path, -1, 0


def _rows(where: tuple[str, int, int], columns: dict[str, str]) -> Iterator[Outcome]:
    import pyarrow
    from pyarrow import parquet

    path, group, before = where
    number = before
    try:
        with fields.opened(path) as file:
            table = parquet.ParquetFile(file)
            for batch in table.iter_batches(_BATCH, row_groups=None if group < 0 else [group]):
                for row in batch.to_pylist():
                    number += 1
                    yield fields.to_row(_with_picture(row), columns, f"{path}:{number}", ParquetSource.name)
    except (pyarrow.ArrowInvalid, pyarrow.ArrowNotImplementedError, OSError) as error:
        detail = f"{error}; the rest of row group {group} was not read"
        yield Rejected("", f"{path}:{number + 1}", "invalid_parquet", detail)


def _with_picture(row: dict[str, Any]) -> dict[str, Any]:
    """The row, with img2dataset's column of the picture under the name that ours has."""
    for name in _IMG2DATASET:
        if isinstance(row.get(name), bytes):
            return {"image_bytes": row[name], **row}
    return row
