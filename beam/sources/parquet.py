"""Parquet: img2dataset's layout (columns url, caption, key, status, jpg), Hugging Face's, and plain tables."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pyarrow
from apache_beam.io.filesystems import FileSystems
from pyarrow import parquet

from beam.sources.compressed import named_damage
from beam.sources.raw import InvalidRow, RawRow
from beam.sources.rows import RowSource
from models.settings.checks import settings_class

_BATCH = 64  # rows decoded at a time
_IMG2DATASET = {"status", "error_message"}


@settings_class("ParquetSource")
class ParquetSource(RowSource):
    """Reads Parquet files; see `RowSource` for columns and paths.

    `image` may be bytes, a path, a URI, or Hugging Face's {bytes, path}. Different workers read the row groups of a
    file. A row that img2dataset could not fetch is dropped with img2dataset's own message.
    """

    name: ClassVar[str] = "parquet"
    example: ClassVar[str] = "pairs/*.parquet"
    damage: ClassVar[tuple[type[Exception], ...]] = (EOFError, pyarrow.ArrowException)

    def splits(self, file: str) -> Iterator[tuple[str, int, int]]:
        """Yields (file, row group, number of its first row)."""
        with FileSystems.open(file) as opened, named_damage():
            metadata = parquet.ParquetFile(opened).metadata
            first = 1
            for group in range(metadata.num_row_groups):
                yield file, group, first
                first += metadata.row_group(group).num_rows

    def raw_rows(self, split: tuple[str, int, int]) -> Iterator[RawRow]:
        file, group, number = split
        with FileSystems.open(file) as opened, named_damage():
            reader = parquet.ParquetFile(opened)
            names = self.column_names() | _IMG2DATASET
            wanted = [name for name in reader.schema_arrow.names if name in names]
            for batch in reader.iter_batches(_BATCH, row_groups=[group], columns=wanted):
                for row in _rows(batch):
                    yield RawRow(file, number, row)
                    number += 1

    def decode(self, content: dict[str, Any] | UnicodeDecodeError) -> dict[str, Any]:
        if isinstance(content, UnicodeDecodeError):
            raise InvalidRow("invalid_utf8", str(content))
        if content.get("status") == "failed_to_download":
            raise InvalidRow("image_missing", f"img2dataset: {content.get('error_message')}")
        return content


def _rows(batch: pyarrow.RecordBatch) -> Iterator[dict[str, Any] | UnicodeDecodeError]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:  # raised before any row is out; so read one row at a time, and lose only the bad one
        for number in range(batch.num_rows):
            try:
                (row,) = batch.slice(number, 1).to_pylist()
                yield row
            except UnicodeDecodeError as error:
                yield error
