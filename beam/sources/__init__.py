"""Sources, by name. A source is a frozen dataclass of plain values with the methods of `Source`."""

import dataclasses
import json
from typing import Any, ClassVar, Protocol

import apache_beam as beam

from beam.sources.csv_table import CsvSource
from beam.sources.jsonl import JsonlSource
from beam.sources.openmoji import OpenMojiSource
from beam.sources.parquet import ParquetSource
from beam.sources.tfds import TfdsSource
from beam.sources.tfrecord import TfrecordSource
from beam.sources.urls import UrlListSource
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
"""Every source; its class name is its name in gin."""

_BY_NAME = {source.name: source for source in ALL}


def to_json(source: Source) -> str:
    """The source as text that travels to a component or a worker."""
    return json.dumps({"name": source.name, **dataclasses.asdict(source)}, sort_keys=True)  # type: ignore[call-overload]


def from_json(text: str) -> Source:
    """Makes the source that `to_json` wrote.

    Raises:
      ValueError: no source has this name.
    """
    options = json.loads(text)
    name = options.pop("name")
    if name not in _BY_NAME:
        raise ValueError(f"source {name!r} is unknown; use one of {sorted(_BY_NAME)}")
    return _BY_NAME[name](**options)
