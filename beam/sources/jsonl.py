"""JSON Lines: one pair a line, the picture inline (base64) or as a path relative to the file."""

import dataclasses
import json
from collections.abc import Iterator
from typing import ClassVar

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from beam.records import Outcome, Rejected
from beam.sources import fields


@dataclasses.dataclass(frozen=True)
class JsonlSource(fields.Files):
    """Each line is {"image": PATH, "caption": TEXT} or {"image_base64": ..., "caption": TEXT}.

    A picture may have "captions", a list of texts, in place of or besides "caption", which then comes first.

    Optional text fields: "key" (else a hash of the content), "language", "category", "class_name", and "group", which
    rows of one picture share, such as its captions in several languages. A row that cannot be used is dropped by
    reason, with its file and line number; it never stops the run.
    """

    name: ClassVar[str] = "jsonl"

    def read(self) -> beam.PTransform:
        return _Read(self.paths(), self.columns)


class _Read(beam.PTransform):
    def __init__(self, paths: list[str], columns: dict[str, str]) -> None:
        super().__init__()
        self._paths, self._columns = paths, columns

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        lines = pipeline | beam.Create(self._paths) | beam.Reshuffle() | "Lines" >> beam.FlatMap(_lines)
        # A second reshuffle, so that the pictures of one large file are read by all workers.
        return lines | "Spread" >> beam.Reshuffle() | "Parse" >> beam.Map(_parse, self._columns)


def _lines(path: str) -> Iterator[tuple[str, int, bytes]]:
    with FileSystems.open(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield path, number, line


def _parse(numbered: tuple[str, int, bytes], columns: dict[str, str]) -> Outcome:
    path, number, line = numbered
    position = f"{path}:{number}"
    try:
        row = json.loads(line.decode("utf-8-sig"))
        if not isinstance(row, dict):
            raise ValueError(f"a line must be a JSON object, not {type(row).__name__}")
    except UnicodeDecodeError as error:
        return Rejected("", position, "invalid_utf8", str(error))
    except (ValueError, RecursionError) as error:
        return Rejected("", position, "invalid_json", str(error))
    return fields.to_row(row, columns, position, JsonlSource.name)
