"""TFRecord files of tf.Example."""

import struct
from collections.abc import Iterator
from typing import IO, Any, ClassVar

import google_crc32c
import tensorflow as tf
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from google.protobuf import message

from beam.records import Rejected
from beam.sources.files import compressed
from beam.sources.rows.raw import InvalidRow, RawRow
from beam.sources.rows.source import RowSource
from beam.sources.tfrecord import example_sizes
from models.settings.checks import settings_class

_PIECE = 1 << 20
_LENGTH = struct.Struct("<QI")  # the length of a record, and its checksum
_CRC = struct.Struct("<I")


@settings_class("TfrecordSource")
class TfrecordSource(RowSource):
    """Reads TFRecord files of tf.Example; see `RowSource` for columns and paths.

    The columns are the features of the Examples; `columns` maps fields to them, such as {"image": "image/encoded"}. A
    feature with several values is a list of texts. Files may be compressed with gzip, bzip2 or xz.
    """

    name: ClassVar[str] = "tfrecord"
    example: ClassVar[str] = "pairs/*.tfrecord*"

    captions: tuple[str, ...] = ("caption", "captions", "more_captions")

    def raw_rows(self, split: str) -> Iterator[RawRow | Rejected]:
        # TensorFlow's own reader crashes on some lengths, so this one checks them before it takes memory.
        most = self.limits.row_bytes
        with compressed.opened(split, self.limits) as file:
            number = 0
            while start := _exactly(file, _LENGTH.size, may_end=True):
                number += 1
                length, checksum = _LENGTH.unpack(start)
                if _masked_crc(start[:8]) != checksum:
                    raise EOFError(f"the checksum of the length of record {number} is wrong")
                if length > most:
                    _skip(file, length + _CRC.size)
                    detail = f"the record has {length} bytes, but may have {most} (Limits.row_bytes)"
                    yield Rejected("", f"{split}:{number}", "row_too_large", detail)
                    continue
                record = _exactly(file, length)
                if _masked_crc(record) == _CRC.unpack(_exactly(file, _CRC.size))[0]:
                    yield RawRow(split, number, record)
                else:
                    detail = f"the checksum of the {length} bytes of record {number} is wrong"
                    yield Rejected("", f"{split}:{number}", "damaged_record", detail)

    def decode(self, content: bytes) -> dict[str, Any]:
        most = self.limits.values
        if len(content) > most and example_sizes.may_exceed(content, most):
            detail = f"the tf.Example has more than {most} features or values (Limits.values), or is broken"
            raise InvalidRow("too_many_values", detail)
        try:
            feature = tf.train.Example.FromString(content).features.feature
        except message.DecodeError as error:
            raise InvalidRow("invalid_example", f"{len(content)} bytes are not a tf.Example: {error}") from error
        wanted = self.column_names()
        columns = {name: _value(feature[name]) for name in feature if name in wanted}
        return columns if len(columns) > 1 else {**dict.fromkeys(feature), **columns}  # names for the reject


class Damage(EOFError):
    """A file is damaged after its first `records` records."""

    def __init__(self, problem: str, records: int) -> None:
        super().__init__(problem)
        self.records = records


def damage_of(path: str, most: int) -> Damage | None:
    """Returns what is wrong with the lengths of an uncompressed TFRecord file, or None; it does not read the records.

    Args:
      path: path of the file.
      most: largest record (bytes).
    """
    number = 0
    try:
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            size = file.seek(0, 2)
            file.seek(0)
            while start := _exactly(file, _LENGTH.size, may_end=True):
                length, checksum = _LENGTH.unpack(start)
                if _masked_crc(start[:8]) != checksum:
                    raise EOFError(f"{path}: the checksum of the length of record {number + 1} is wrong")
                if length > most:
                    raise EOFError(
                        f"{path}: record {number + 1} has {length} bytes, but may have {most} (Limits.row_bytes)"
                    )
                if file.tell() + length + _CRC.size > size:
                    raise EOFError(f"{path} ends in record {number + 1}, which announces {length} bytes")
                file.seek(length + _CRC.size, 1)
                number += 1
    except EOFError as error:
        return Damage(str(error), number)
    return None


def _exactly(file: IO[bytes], size: int, may_end: bool = False) -> bytes:
    """Reads `size` bytes in pieces; EOFError if there are fewer, but b"" at the end of the file if it `may_end`."""
    found = file.read(size) if size <= _PIECE else b"".join(_pieces(file, size))
    if len(found) < size and not (may_end and not found):
        raise EOFError(f"the file ends in a record: {size} bytes were announced, {len(found)} are left")
    return found


def _skip(file: IO[bytes], size: int) -> None:
    skipped = sum(map(len, _pieces(file, size)))
    if skipped < size:
        raise EOFError(f"a record announces {size} bytes, but {skipped} are left")


def _pieces(file: IO[bytes], size: int) -> Iterator[bytes]:
    while size and (piece := file.read(min(size, _PIECE))):
        size -= len(piece)
        yield piece


def _masked_crc(content: bytes) -> int:
    crc = google_crc32c.value(content)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _value(feature: tf.train.Feature) -> Any:
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value) if kind else []
    return values[0] if len(values) == 1 else values or None
