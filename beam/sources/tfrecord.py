"""TFRecord of tf.Example, whatever its features are called."""

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import apache_beam as beam
import tensorflow as tf

from beam.records import Outcome, Rejected
from beam.sources import fields


@dataclasses.dataclass(frozen=True)
class TfrecordSource(fields.Files):
    """The features are image_bytes, caption and so on, as in `JsonlSource`, or are named by `columns`.

    A feature with several texts is a list, as captions must be. Files whose name ends in .gz are unpacked. A file
    that is damaged loses the rows from there on, with a reject that names the row.
    """

    name: ClassVar[str] = "tfrecord"

    def read(self) -> beam.PTransform:
        return _Read(self.paths(), self.columns)


class _Read(beam.PTransform):
    def __init__(self, paths: list[str], columns: dict[str, str]) -> None:
        super().__init__()
        self._paths, self._columns = paths, columns

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        return pipeline | beam.Create(self._paths) | beam.Reshuffle() | "Rows" >> beam.FlatMap(_rows, self._columns)


def _rows(path: str, columns: dict[str, str]) -> Iterator[Outcome]:
    records = iter(tf.data.TFRecordDataset(path, "GZIP" if path.endswith(".gz") else "").as_numpy_iterator())
    number = 0
    while True:
        number += 1
        position = f"{path}:{number}"
        try:
            record = next(records)
        except StopIteration:
            return
        except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
            yield Rejected("", position, "invalid_tfrecord", f"{error.message}; the rest of the file was not read")
            return
        yield _row(record, columns, position)


def _row(record: bytes, columns: dict[str, str], position: str) -> Outcome:
    lists = {columns.get("captions", "captions")}
    try:
        example = tf.train.Example.FromString(record)
        values: dict[str, Any] = {}
        for name, feature in example.features.feature.items():
            found = list(feature.bytes_list.value)
            if name == columns.get("image_bytes", "image_bytes"):
                values[name] = found[0] if found else None
            elif found:
                texts = [value.decode() for value in found]
                values[name] = texts if name in lists else texts[0]
    except UnicodeDecodeError as error:
        return Rejected("", position, "invalid_utf8", f"feature {name!r}: {error}")
    except Exception as error:  # protobuf's own kind of error differs between its versions
        return Rejected("", position, "invalid_example", f"no tf.Example: {error}")
    return fields.to_row(values, columns, position, TfrecordSource.name)
