"""TFRecord files of tf.Example."""

from collections.abc import Iterator
from typing import Any, ClassVar

import tensorflow as tf
from google.protobuf import message

from beam.records import Rejected
from beam.sources.raw import InvalidRow, RawRow
from beam.sources.rows import RowSource
from models.settings.checks import settings_class

_GZIP_MAGIC = b"\x1f\x8b"


@settings_class("TfrecordSource")
class TfrecordSource(RowSource):
    """Reads TFRecord files of tf.Example; see `RowSource` for columns and paths.

    The columns are the features of the Examples; `columns` maps fields to them, such as {"image": "image/encoded"}. A
    feature with several values is a list of texts. Files may be compressed with GZIP.
    """

    name: ClassVar[str] = "tfrecord"
    example: ClassVar[str] = "pairs/*.tfrecord*"
    damage: ClassVar[tuple[type[Exception], ...]] = (EOFError, tf.errors.DataLossError)

    captions: tuple[str, ...] = ("caption", "captions", "more_captions")

    def raw_rows(self, split: str) -> Iterator[RawRow | Rejected]:
        with tf.io.gfile.GFile(split, "rb") as file:
            compression = "GZIP" if file.read(2) == _GZIP_MAGIC else ""
        rows = tf.data.TFRecordDataset(split, compression)
        for number, row in enumerate(rows.as_numpy_iterator(), start=1):
            yield RawRow(split, number, row)

    def decode(self, content: bytes) -> dict[str, Any]:
        try:
            feature = tf.train.Example.FromString(content).features.feature
        except message.DecodeError as error:
            raise InvalidRow("invalid_example", f"{len(content)} bytes are not a tf.Example: {error}") from error
        wanted = self.column_names()
        return {name: _value(feature[name]) for name in feature if name in wanted}


def _value(feature: tf.train.Feature) -> Any:
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value) if kind else []
    return values[0] if len(values) == 1 else values or None
