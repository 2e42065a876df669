"""Sources, by name. A source is a frozen dataclass of plain values with the methods of `Source`."""

import dataclasses
import json
from typing import Any, ClassVar, Protocol

import apache_beam as beam

from beam.sources import spans
from beam.sources.delimited import CsvSource
from beam.sources.jsonl import JsonlSource
from beam.sources.openmoji import OpenMojiSource
from beam.sources.parquet import ParquetSource
from beam.sources.tfds import TfdsSource
from beam.sources.tfrecord import TfrecordSource
from beam.sources.url_list import UrlListSource
from beam.sources.webdataset import WebDatasetSource


class Source(Protocol):
    """Rows in."""

    name: ClassVar[str]

    def fingerprint(self) -> str:
        """Changes when the input changes. Raises ValueError where the input is missing."""

    def read(self) -> beam.PTransform:
        """Pipeline -> PCollection[ImageText | Rejected]: every row of the input, broken ones as Rejected."""


ALL: tuple[Any, ...] = (
    CsvSource,
    JsonlSource,
    OpenMojiSource,
    ParquetSource,
    TfdsSource,
    TfrecordSource,
    UrlListSource,
    WebDatasetSource,
)
_SOURCES = {source.name: source for source in ALL}


def to_json(source: Source) -> str:
    """The source as text that travels to a component or a worker."""
    return json.dumps(_plain(source), sort_keys=True)


def from_json(text: str) -> Source:
    """Makes the source that `to_json` wrote.

    Raises:
      ValueError: no source has this name.
    """
    return _make(json.loads(text))


def with_path(source: Any, path: str) -> Any:
    """The same source of other files; ValueError where it reads none."""
    if hasattr(source, "rows"):
        return dataclasses.replace(source, rows=with_path(source.rows, path))
    if not hasattr(source, "path"):
        raise ValueError(f"the source is {type(source).__name__}, which has no path that {path!r} could replace")
    return dataclasses.replace(source, path=path)


def newest(source: Any) -> Any:
    """The source with its newest span in place of {SPAN}; ValueError where no span has files."""
    if hasattr(source, "rows"):
        return dataclasses.replace(source, rows=newest(source.rows))
    if spans.SPAN not in getattr(source, "path", ""):
        return source
    return dataclasses.replace(source, path=spans.newest(source.path))


def _plain(source: Any) -> dict[str, Any]:
    options = {field.name: getattr(source, field.name) for field in dataclasses.fields(source)}
    nested = {name: _plain(value) for name, value in options.items() if dataclasses.is_dataclass(value)}
    return {"name": source.name, **options, **nested}


def _make(options: dict[str, Any]) -> Source:
    name = options.pop("name")
    if name not in _SOURCES:
        raise ValueError(f"source {name!r} is unknown; use one of {sorted(_SOURCES)}")
    values = {field: tuple(value) if isinstance(value, list) else value for field, value in options.items()}
    nested = {field: _make(value) for field, value in values.items() if isinstance(value, dict) and "name" in value}
    return _SOURCES[name](**{**values, **nested})
