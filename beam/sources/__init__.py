"""Sources: where rows come from. A source is a frozen dataclass of plain values with the methods of `Source`."""

import dataclasses
from typing import Any, ClassVar, Protocol, runtime_checkable

import apache_beam as beam

from beam.sources.delimited.source import CsvSource
from beam.sources.files import spans
from beam.sources.iconify.source import IconifySource
from beam.sources.jsonl import JsonlSource
from beam.sources.openmoji import OpenMojiSource
from beam.sources.openmoji_scenes import OpenMojiScenes
from beam.sources.parquet.source import ParquetSource
from beam.sources.tfds import TfdsSource
from beam.sources.tfrecord.source import TfrecordSource
from beam.sources.url_list import UrlListSource
from beam.sources.webdataset.source import WebDatasetSource

__all__ = [
    "CsvSource",
    "IconifySource",
    "JsonlSource",
    "OpenMojiScenes",
    "OpenMojiSource",
    "ParquetSource",
    "Source",
    "TfdsSource",
    "TfrecordSource",
    "UrlListSource",
    "WebDatasetSource",
    "described",
    "newest",
    "with_path",
]


@runtime_checkable
class Source(Protocol):
    """Reads image-text pairs, reports each row that it cannot use as Rejected, and counts what is no row as Skipped.

    A source whose rows show pictures of other rows also has `pictures_of`: the split key of a row -> the split keys of
    the pictures that it shows. An evaluation set with such a source must show no picture of a training row.
    """

    name: ClassVar[str]

    def fingerprint(self) -> str:
        """Returns text that changes when the input changes; raises ValueError if the input is missing."""

    def read(self) -> beam.PTransform:
        """Returns Pipeline -> PCollection[ImageText | Rejected | Skipped], with one of the first two for each row."""


def with_path(source: Any, path: str) -> Any:
    """Returns the source with another path; ValueError if it reads no files."""
    if hasattr(source, "rows"):
        return dataclasses.replace(source, rows=with_path(source.rows, path))
    if not hasattr(source, "path"):
        raise ValueError(f"the source is {type(source).__name__}, which has no path that {path!r} could replace")
    return dataclasses.replace(source, path=path)


def described(source: Any) -> str:
    """Returns the kind of the source and what it reads, for messages."""
    if hasattr(source, "rows"):
        return described(source.rows)
    place = getattr(source, "path", "") or getattr(source, "builder", "")
    return f"{type(source).__name__} ({place})" if place else type(source).__name__


def newest(source: Any) -> Any:
    """Returns the source with the newest span in place of {SPAN}; ValueError if no span has files."""
    if hasattr(source, "rows"):
        return dataclasses.replace(source, rows=newest(source.rows))
    if spans.SPAN not in getattr(source, "path", ""):
        return source
    return dataclasses.replace(source, path=spans.newest(source.path))
