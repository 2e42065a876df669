"""Writers: sharded TFRecord and the reject sidecar. A file appears under its name whole, or not at all.

Shard = salted hash of the key, order in a shard = hash order: the same rows give the same bytes with any number of
workers.
"""

import dataclasses
import hashlib
import json
import os
import uuid
from collections.abc import Iterable

import apache_beam as beam
import tensorflow as tf

from beam.records import ImageText, Rejected, salted_hash

REJECT_SHARDS = 1


@dataclasses.dataclass(frozen=True)
class Shard:
    """One written file, as the manifest lists it."""

    split: str
    file: str
    rows: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where a row goes; a function of its key, its group and the salt only.

    Attributes:
      splits: {name: share}, whole numbers in any unit.
      shards: files of each split.
      salt: changes which rows are held out.
    """

    splits: dict[str, int]
    shards: int
    salt: str

    def __post_init__(self) -> None:
        for name, value in {**self.splits, "shards": self.shards}.items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}, but shares and shards must be whole numbers of 1 or more")

    def split_of(self, split_key: str) -> str:
        """The split of the rows that share a split key."""
        point = salted_hash(split_key, f"{self.salt}/split") % sum(self.splits.values())
        for name, share in sorted(self.splits.items()):
            point -= share
            if point < 0:
                return name
        raise AssertionError("unreachable: the point lies below the sum of the shares")

    def shard_of(self, key: str) -> int:
        """The shard of a key within its split."""
        return salted_hash(key, f"{self.salt}/shard") % self.shards

    def order_of(self, key: str) -> tuple[int, str]:
        """What rows of a shard are sorted by."""
        return salted_hash(key, f"{self.salt}/order"), key

    def file_name(self, shard: int) -> str:
        """The name of a shard's file, in TFX's style."""
        return f"data_tfrecord-{shard:05d}-of-{self.shards:05d}.gz"


class WriteShards(beam.PTransform):
    """PCollection[ImageText] -> PCollection[Shard]; writes every shard of every split, empty ones too.

    Split S lies in `folder`/Split-S, as TFX's Examples artifact wants it.
    """

    def __init__(self, folder: str, layout: Layout) -> None:
        super().__init__()
        self._folder = folder
        self._layout = layout

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        layout, folder = self._layout, self._folder
        every_shard = [((split, shard), None) for split in layout.splits for shard in range(layout.shards)]
        placed = rows | "Place" >> beam.Map(
            lambda row: ((layout.split_of(row.split_key), layout.shard_of(row.key)), row)
        )
        anchors = rows.pipeline | "EveryShard" >> beam.Create(every_shard)
        grouped = (placed, anchors) | beam.Flatten() | beam.GroupByKey()
        return grouped | "Write" >> beam.Map(_write_shard, folder, layout)


def _write_shard(group: tuple[tuple[str, int], Iterable[ImageText | None]], folder: str, layout: Layout) -> Shard:
    (split, number), members = group
    rows = sorted((row for row in members if row is not None), key=lambda row: layout.order_of(row.key))
    path = os.path.join(folder, f"Split-{split}", layout.file_name(number))
    with WholeFile(path) as unfinished, tf.io.TFRecordWriter(unfinished, "GZIP") as writer:
        for row in rows:
            writer.write(row.to_example())
    with tf.io.gfile.GFile(path, "rb") as file:
        content = file.read()
    relative = os.path.relpath(path, folder)
    return Shard(split, relative, len(rows), len(content), hashlib.sha256(content).hexdigest())


class WriteRejects(beam.PTransform):
    """PCollection[Rejected] -> PCollection of the paths written: rejects-*.jsonl, sorted by position."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def expand(self, rejected: beam.PCollection) -> beam.PCollection:
        folder = self._folder
        keyed = rejected | beam.Map(lambda row: (salted_hash(row.position, "reject") % REJECT_SHARDS, row))
        anchors = rejected.pipeline | "EveryFile" >> beam.Create([(number, None) for number in range(REJECT_SHARDS)])
        return (keyed, anchors) | beam.Flatten() | beam.GroupByKey() | "Write" >> beam.Map(_write_rejects, folder)


def _write_rejects(group: tuple[int, Iterable[Rejected | None]], folder: str) -> str:
    number, members = group
    path = os.path.join(folder, f"rejects-{number:05d}-of-{REJECT_SHARDS:05d}.jsonl")
    lines = sorted(json.dumps(dataclasses.asdict(row), sort_keys=True) for row in members if row is not None)
    write_text(path, "".join(line + "\n" for line in lines))
    return path


def write_text(path: str, text: str) -> None:
    """Writes a small file, whole or not at all."""
    with WholeFile(path) as unfinished, tf.io.gfile.GFile(unfinished, "w") as file:
        file.write(text)


class WholeFile:
    """Gives a temporary name beside `path`; renames it to `path` on success, removes it on failure."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._unfinished = f"{os.path.dirname(path)}/.unfinished-{uuid.uuid4().hex}"

    def __enter__(self) -> str:
        tf.io.gfile.makedirs(os.path.dirname(self._path))
        return self._unfinished

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            tf.io.gfile.rename(self._unfinished, self._path, overwrite=True)
        elif tf.io.gfile.exists(self._unfinished):
            tf.io.gfile.remove(self._unfinished)
