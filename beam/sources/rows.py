"""`RowSource`: the base class of sources that read rows of columns from files.

A subclass defines how a file is cut into raw rows and how a raw row becomes columns. All else is here and in
columns.py, so that a row means the same in JSON Lines, CSV, Parquet, WebDataset and TFRecord.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from beam.records import Rejected, Skipped
from beam.sources.columns import FIELDS, to_pair
from beam.sources.limits import Limits
from beam.sources.raw import InvalidRow, RawRow
from models import features
from models.settings.checks import settings_class


@settings_class()
class RowSource:
    """Reads rows of columns from files.

    A row has a picture, one or more captions, and optional texts. The picture is `image` (bytes, a URI, or a path
    relative to the folder of the file) or `image_base64`. The optional texts are `key` (if missing, a hash of the
    content), `language`, `category`, `class_name` and `group`. A row that cannot be used is dropped with a reason, its
    file and its place; it never stops the run.

    Attributes:
      path: a file or a glob pattern, on any file system of Beam; {SPAN} stands for the highest number that has files.
      columns: {field: column} for columns whose name differs from the field's, such as {"image": "jpg"}.
      captions: columns with captions, each a text or a list of texts. The first caption found is the row's caption; the
        others are more captions of the same picture. Alt-text and generated captions are two columns.
      language: BCP 47 tag for rows without a language.
      limits: limits of records and files.
    """

    name: ClassVar[str]
    example: ClassVar[str]  # example of a path, for messages
    spread: ClassVar[bool] = False  # whether all workers decode the rows of one file
    damage: ClassVar[tuple[type[Exception], ...]] = (EOFError,)  # errors that a broken file raises

    path: str = ""
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    captions: tuple[str, ...] = ("caption", "captions")
    language: str = features.UNKNOWN_LANGUAGE
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.columns) - set(FIELDS))
        if unknown:
            raise ValueError(f"{type(self).__name__}.columns has {unknown}, but fields are {', '.join(FIELDS)}")
        if not self.captions:
            raise ValueError(f"{type(self).__name__}.captions is empty, but must name at least one column")

    def fingerprint(self) -> str:
        files = [f"{file.path} {file.size_in_bytes} {file.last_updated_in_seconds}" for file in self._files()]
        return hashlib.sha256("\n".join(files).encode()).hexdigest()

    def read(self) -> beam.PTransform:
        return _Read(self)

    def read_columns(self) -> beam.PTransform:
        """Pipeline -> PCollection[RawRow | Rejected | Skipped] of decoded rows, for a source that fetches pictures."""
        return _ReadColumns(self)

    def to_pairs(self, name: str) -> beam.PTransform:
        """PCollection of `read_columns` -> PCollection[ImageText | Rejected | Skipped]; `name`: the source of pairs."""
        return beam.Map(to_pair, self.columns, tuple(self.captions), self.language, name, self.limits)

    def inputs(self) -> list[str]:
        """Returns the files, each an argument of `splits`; raises ValueError if there is none."""
        return [file.path for file in self._files()]

    def column_names(self) -> set[str]:
        """Returns the names of all columns that a pair may use."""
        return {self.columns.get(field, field) for field in FIELDS} | set(self.captions)

    def splits(self, file: str) -> Iterable[Any]:
        """Returns the parts of a file that workers read, each an argument of `raw_rows`; here, the whole file."""
        return [file]

    def raw_rows(self, split: Any) -> Iterator[RawRow | Rejected | Skipped]:
        """Yields the rows of a split; raises one of `damage` if the rest of it cannot be read."""
        raise NotImplementedError

    def decode(self, content: Any) -> Mapping[str, Any]:
        """Returns the columns of a raw row, from its content; raises InvalidRow."""
        return content

    def _files(self) -> list[Any]:
        files = FileSystems.match([self.path])[0].metadata_list if self.path else []
        if not files:
            source = type(self).__name__
            raise ValueError(
                f"{source}.path is {self.path!r}, but no such file exists; name a file or a glob pattern "
                f"(gin: {source}.path = '{self.example}')"
            )
        return sorted(files, key=lambda file: file.path)


class _ReadColumns(beam.PTransform):
    def __init__(self, source: RowSource) -> None:
        super().__init__()
        self._source = source

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        source = self._source
        splits = pipeline | beam.Create(source.inputs()) | "Splits" >> beam.FlatMap(_splits, source) | beam.Reshuffle()
        rows = splits | "Rows" >> beam.FlatMap(_raw_rows, source)
        rows = rows | "Spread" >> beam.Reshuffle() if source.spread else rows
        return rows | "Decode" >> beam.Map(_decode, source)


class _Read(beam.PTransform):
    def __init__(self, source: RowSource) -> None:
        super().__init__()
        self._source = source

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        source = self._source
        return pipeline | "Columns" >> source.read_columns() | "Pair" >> source.to_pairs(source.name)


def _splits(file: str, source: RowSource) -> Iterator[Any]:
    try:
        yield from source.splits(file)
    except source.damage as error:
        yield _damaged(file, "", error)


def _raw_rows(split: Any, source: RowSource) -> Iterator[RawRow | Rejected | Skipped]:
    if isinstance(split, Rejected):
        yield split
        return
    last = ""
    try:
        for row in source.raw_rows(split):
            last = row.position
            yield row
    except source.damage as error:
        yield _damaged(split if isinstance(split, str) else split[0], last, error)


def _damaged(file: str, last: str, error: Exception) -> Rejected:
    detail = f"{type(error).__name__}: {error}; what follows {last or 'the start'} cannot be read"
    return Rejected("", f"{file}:after {last.removeprefix(file + ':') or 'the start'}", "damaged_file", detail)


def _decode(row: RawRow | Rejected | Skipped, source: RowSource) -> RawRow | Rejected | Skipped:
    if not isinstance(row, RawRow):
        return row
    try:
        return row._replace(content=source.decode(row.content))
    except InvalidRow as error:
        return Rejected("", row.position, error.reason, error.detail)
