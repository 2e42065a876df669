"""Parquet: img2dataset's layout (columns url, caption, key, status, jpg), Hugging Face's, and plain tables."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import pyarrow
from apache_beam.io.filesystems import FileSystems
from pyarrow import parquet

from beam.records import Rejected
from beam.sources.files.compressed import named_damage
from beam.sources.parquet import pages as parquet_pages
from beam.sources.rows.raw import InvalidRow, RawRow
from beam.sources.rows.source import RowSource
from models.settings.checks import settings_class

_BATCH = 64  # rows decoded at a time
_BATCH_BYTES = 64 << 20  # of these rows, at most, unless one row is larger
_IMG2DATASET = {"status", "error_message"}


@settings_class("ParquetSource")
class ParquetSource(RowSource):
    """Reads Parquet files; see `RowSource` for columns and paths.

    `image` may be bytes, a path, a URI, or Hugging Face's {bytes, path}. Different workers read the row groups of a
    file. A row that img2dataset could not fetch is dropped with img2dataset's own message.
    """

    name: ClassVar[str] = "parquet"
    example: ClassVar[str] = "pairs/*.parquet"

    def splits(self, file: str) -> Iterator[tuple[str, int, int]]:
        """Yields (file, row group, number of its first row)."""
        with FileSystems.open(file) as opened, named_damage():
            parquet_pages.require_footer(opened, self.limits)
            reader = parquet.ParquetFile(opened)
            self.require_columns(reader.schema_arrow.names)
            first = 1
            for group in range(reader.metadata.num_row_groups):
                found = reader.metadata.row_group(group)
                if found.num_rows or any(found.column(number).num_values for number in range(found.num_columns)):
                    yield file, group, first
                first += max(found.num_rows, 0)

    def raw_rows(self, split: tuple[str, int, int]) -> Iterator[RawRow | Rejected]:
        file, group, first = split
        limits = self.limits
        with FileSystems.open(file) as opened, named_damage():
            parquet_pages.require_footer(opened, limits)
            reader = parquet.ParquetFile(opened)
            names = self.column_names() | _IMG2DATASET
            wanted = [name for name in reader.schema_arrow.names if name in names]
            size = parquet_pages.require_group(opened, reader.metadata, group, wanted, limits)
            rows = reader.metadata.row_group(group).num_rows
            largest = max(size.uncompressed // max(rows, 1), size.dictionaries, 1)  # of a row, as far as is known
            at_a_time = max(1, min(_BATCH, _BATCH_BYTES // largest, limits.values // size.longest))
            number, given = first, 0
            for read in reader.iter_batches(at_a_time, row_groups=[group], columns=wanted):
                batch = _plain(read)
                given += batch.nbytes
                if given > limits.line_bytes + limits.expansion * size.compressed:
                    detail = f"{size.compressed} bytes of the row group give {given} bytes or more"
                    raise InvalidRow("too_expanded", f"{detail}; see Limits.expansion")
                for row in _rows(batch, limits.row_bytes, self.captions):
                    yield RawRow(file, number, row)
                    number += 1
            if number - first != rows:
                raise EOFError(f"the row group has {number - first} rows, but announces {rows}")

    def decode(self, content: dict[str, Any] | InvalidRow) -> dict[str, Any]:
        if isinstance(content, InvalidRow):
            raise content
        if content.get("status") == "failed_to_download":
            raise InvalidRow("image_missing", f"img2dataset: {content.get('error_message')}")
        return content


def _plain(batch: pyarrow.RecordBatch) -> pyarrow.RecordBatch:
    """The batch without dictionaries, so that its size is that of its values."""
    arrays = [one.dictionary_decode() if pyarrow.types.is_dictionary(one.type) else one for one in batch.columns]
    return pyarrow.RecordBatch.from_arrays(arrays, batch.schema.names)


def _rows(batch: pyarrow.RecordBatch, row_bytes: int, captions: Sequence[str]) -> Iterator[dict[str, Any] | InvalidRow]:
    """The rows of a batch; InvalidRow stands for a row that is too large or not UTF-8."""
    if batch.nbytes <= row_bytes:
        try:
            yield from batch.to_pylist()
            return
        except UnicodeDecodeError:  # raised before any row is out; so read one row at a time, and lose only the bad one
            pass
    for number in range(batch.num_rows):
        yield _row(batch.slice(number, 1), row_bytes, captions)


def _row(batch: pyarrow.RecordBatch, row_bytes: int, captions: Sequence[str]) -> dict[str, Any] | InvalidRow:
    if batch.nbytes > row_bytes:
        detail = f"the row has {batch.nbytes} bytes, but may have {row_bytes} (Limits.row_bytes)"
        return InvalidRow("row_too_large", detail)
    values: dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            (values[name],) = column.to_pylist()
        except UnicodeDecodeError as error:
            if name not in captions:
                return InvalidRow("invalid_utf8", f"{name}: {error}")
            try:  # one caption may be bad, another good
                (values[name],) = column.cast(_as_bytes(column.type)).to_pylist()
            except (UnicodeDecodeError, pyarrow.ArrowException):
                return InvalidRow("invalid_utf8", f"{name}: {error}")
    return values


def _as_bytes(kind: pyarrow.DataType) -> pyarrow.DataType:
    """The type of a column of captions with bytes in place of texts."""
    is_list = pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind)
    return pyarrow.list_(pyarrow.large_binary()) if is_list else pyarrow.large_binary()
