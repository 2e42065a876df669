"""`RowSource`: the base class of sources that read rows of columns from files.

A subclass defines how a file is cut into raw rows and how a raw row becomes columns. All else is here and in
columns.py, so that a row means the same in JSON Lines, CSV, Parquet, WebDataset and TFRecord.
"""

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import apache_beam as beam

from beam import shuffle
from beam.records import Rejected, Skipped
from beam.sources.files import faults, paths
from beam.sources.limits import Limits
from beam.sources.rows.classes import ClassNames, load
from beam.sources.rows.columns import FIELDS, to_pair
from beam.sources.rows.raw import InvalidRow, RawRow
from models import features
from models.settings.checks import settings_class


@settings_class()
class RowSource:
    """Reads rows of columns from files.

    A row has a picture, one or more captions, and optional texts. The picture is `image` (bytes, a URI, or a path
    relative to the folder of the file) or `image_base64`. The optional texts are `key` (if missing, a hash of the
    content), `language`, `category`, `class_name` and `group`. `class_names` is the list of the right classes of a
    picture that may have several. `boxes` is read only if `columns` names its column: four
    numbers in [0, 1], top, left, bottom and right of the part of the picture that the caption names. A row that cannot
    be used is dropped with a reason, its file and its place; it never stops the run.

    Attributes:
      path: a file or a glob pattern, on any file system of Beam; {SPAN} stands for the highest number that has files.
      columns: {field: column} for columns whose name differs from the field's, such as {"image": "jpg"}.
      captions: columns with captions, each a text or a list of texts. The first caption found is the row's caption; the
        others are more captions of the same picture. Alt-text and generated captions are two columns.
      language: BCP 47 tag for rows without a language.
      limits: limits of records and files.
      class_names: names for a `class_name` that is a number, the first of class 0; or the path of a JSON file that
        holds a list of names or an object {number: name}. () takes numbers as text.
    """

    name: ClassVar[str]
    example: ClassVar[str]  # example of a path, for messages
    spread: ClassVar[bool] = False  # whether all workers decode the rows of one file

    path: str = ""
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    captions: tuple[str, ...] = ("caption", "captions")
    language: str = features.UNKNOWN_LANGUAGE
    limits: Limits = Limits()
    class_names: str | tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.columns) - set(FIELDS))
        if unknown:
            raise ValueError(f"{type(self).__name__}.columns has {unknown}, but fields are {', '.join(FIELDS)}")
        if not self.captions:
            raise ValueError(f"{type(self).__name__}.captions is empty, but must name at least one column")

    def fingerprint(self) -> str:
        facts = [f"{file.path} {file.size_in_bytes} {file.last_updated_in_seconds}" for file in self._files()]
        if isinstance(self.class_names, str):
            facts.append(str(sorted(load(self._classes()).items())))
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()

    def read(self) -> beam.PTransform:
        return _Read(self)

    def read_columns(self) -> beam.PTransform:
        """Pipeline -> PCollection[RawRow | Rejected | Skipped] of decoded rows, for a source that fetches pictures."""
        return _ReadColumns(self)

    def to_pairs(self, name: str) -> beam.PTransform:
        """PCollection of `read_columns` -> PCollection[ImageText | Rejected | Skipped]; `name`: the source of pairs."""
        return beam.Map(to_pair, self.columns, tuple(self.captions), self.language, name, self.limits, self._classes())

    def inputs(self) -> list[str]:
        """Returns the files, each an argument of `splits`; raises ValueError if there is none."""
        if self.class_names:
            load(self._classes())
        return [file.path for file in self._files()]

    def column_names(self) -> set[str]:
        """Returns the names of all columns that a pair may use."""
        named = {self.columns.get(field, field) for field in FIELDS} | set(self.captions)
        return named if "boxes" in self.columns else named - {"boxes"}

    def image_columns(self) -> list[str]:
        """Returns the names of the two columns that a picture may come from."""
        return [self.columns.get(field, field) for field in ("image", "image_base64")]

    def require_columns(self, names: Sequence[str]) -> None:
        """Raises InvalidRow if rows with columns of these names cannot be pairs, so that no row is read in vain."""
        source, there = type(self).__name__, f"the file has {', '.join(map(repr, names)) or 'no column'}"
        repeated = sorted(self.column_names() & {name for name in names if names.count(name) > 1})
        if repeated:
            raise InvalidRow("invalid_columns", f"{there}; {', '.join(repeated)} occurs twice; no row of it is read")
        if not set(self.image_columns()) & set(names):
            rule = f"must have {' or '.join(self.image_columns())}; set {source}.columns = {{'image': NAME}}"
            raise InvalidRow("invalid_columns", f"{there}, but {rule}; no row of it is read")
        if not set(self.captions) & set(names):
            rule = f"must have {' or '.join(self.captions)}; set {source}.captions = (NAME,)"
            raise InvalidRow("invalid_columns", f"{there}, but {rule}; no row of it is read")

    def splits(self, file: str) -> Iterable[Any]:
        """Returns the parts of a file that workers read, each an argument of `raw_rows`; here, the whole file."""
        return [file]

    def raw_rows(self, split: Any) -> Iterator[RawRow | Rejected | Skipped]:
        """Yields the rows of a split.

        Raises:
          InvalidRow: the rest of the split cannot be used.
          Exception: any other one, if the rest of the split is damaged.
        """
        raise NotImplementedError

    def decode(self, content: Any) -> Mapping[str, Any]:
        """Returns the columns of a raw row, from its content; raises InvalidRow."""
        return content

    def _files(self) -> list[Any]:
        return paths.match(self.path, f"{type(self).__name__}.path", self.example)

    def _classes(self) -> ClassNames:
        return ClassNames(f"{type(self).__name__}.class_names", self.class_names)


class _ReadColumns(beam.PTransform):
    def __init__(self, source: RowSource) -> None:
        super().__init__()
        self._source = source

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        source = self._source
        splits = pipeline | beam.Create(source.inputs()) | "Splits" >> beam.FlatMap(_splits, source) | beam.Reshuffle()
        rows = splits | "Rows" >> beam.FlatMap(_raw_rows, source)
        rows = rows | "Spread" >> shuffle.Spread() if source.spread else rows
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
    except Exception as error:
        yield _rest(file, "the start", error)


def _raw_rows(split: Any, source: RowSource) -> Iterator[RawRow | Rejected | Skipped]:
    if isinstance(split, Rejected):
        yield split
        return
    last = ""
    try:
        for row in source.raw_rows(split):
            last = row.position
            yield row
    except Exception as error:
        file, start = (
            (split, "the start") if isinstance(split, str) else (split[0], f"the start of part {split[1] + 1}")
        )
        yield _rest(file, last or start, error)


def _rest(file: str, last: str, error: Exception) -> Rejected:
    """The one reject of all that could not be read; raises the error if the machine is at fault, not the file."""
    faults.raise_if_of_machine(error, file)
    place = f"{file}:after {last.removeprefix(file + ':')}"
    if isinstance(error, InvalidRow):
        return Rejected("", place, error.reason, error.detail)
    detail = f"{type(error).__name__}: {error}; what follows {last} cannot be read"
    return Rejected("", place, "damaged_file", detail)


def _decode(row: RawRow | Rejected | Skipped, source: RowSource) -> RawRow | Rejected | Skipped:
    if not isinstance(row, RawRow):
        return row
    try:
        return row._replace(content=source.decode(row.content))
    except InvalidRow as error:
        return Rejected("", row.position, error.reason, error.detail)
