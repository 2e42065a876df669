"""Writers of TFRecord shards and of the reject sidecar. A file appears under its name whole or not at all.

A salted hash of its key decides the shard of a row and its place there, so that the same rows give the same bytes with
any number of workers.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator

import apache_beam as beam
import tensorflow as tf

from beam import shuffle, spool
from beam.records import Rejected, RowByReference, salted_hash
from models import files
from models.settings.checks import require, require_positive, settings_class

SPLITS = ("train", "eval", "test")
"""The splits that the build makes."""
REJECT_SHARDS = 1
_OTHER_BYTES = 250  # of a stored row, roughly: the names of its features and TFRecord's checksums
_BLOCK = 1 << 20  # bytes that are hashed at a time


@dataclasses.dataclass(frozen=True)
class Shard:
    """One written file, as the manifest lists it."""

    split: str
    file: str
    rows: int
    bytes: int
    sha256: str


@settings_class("Layout")
class Layout:
    """Decides the split and the shard of a row, by its key, its group and the salt only.

    Attributes:
      splits: {name: share}. A share is a whole number, relative to the sum of all shares.
      shards: smallest number of shards of each split for each host.
      salt: any text; another text puts rows into other splits.
      hosts: number of hosts that train; the number of shards is a multiple of it.
      shard_bytes: largest size of a shard before compression (bytes, roughly). A split has as many shards as this
        needs. 0 sets no limit.
      compression: "GZIP", or "" for none, which suits JPEG pictures.
      groups_together: whether the rows of a group lie side by side in one shard, so that one or two batches of a reader
        have all of them.
    """

    splits: dict[str, int]
    shards: int
    salt: str
    hosts: int = 1
    shard_bytes: int = 0
    compression: str = "GZIP"
    groups_together: bool = False

    def __post_init__(self) -> None:
        require_positive(self, "shards", "hosts")
        for name, share in self.splits.items():
            require(share > 0, f"the share of split {name!r}", share, "a whole number of 1 or more", "correct it")
        require(self.compression in ("GZIP", ""), "compression", self.compression, "'GZIP' or '' (none)", "correct it")

    def split_of(self, split_key: str) -> str:
        """The split of the rows with this split key."""
        point = salted_hash(split_key, f"{self.salt}/split") % sum(self.splits.values())
        for name, share in sorted(self.splits.items()):
            point -= share
            if point < 0:
                return name
        raise AssertionError("unreachable: the point lies below the sum of the shares")

    def count(self, split_bytes: int) -> int:
        """The number of shards of a split of `split_bytes` bytes: hosts x k, where k is at least `shards`."""
        needed = -(-split_bytes // self.shard_bytes) if self.shard_bytes else 0
        return self.hosts * max(self.shards, -(-needed // self.hosts))

    def place_key(self, split_key: str, key: str) -> str:
        """The key whose hash decides the shard of a row and its place there; the row's picture has the same."""
        return split_key if self.groups_together else key

    def shard_of(self, place_key: str, count: int) -> int:
        """The number of the shard of a row, in a split of `count` shards."""
        return salted_hash(place_key, f"{self.salt}/shard") % count

    def order_of(self, place_key: str, key: str) -> tuple[int, str, int, str]:
        """The sort key of a row within its shard."""
        return salted_hash(place_key, f"{self.salt}/order"), place_key, salted_hash(key, f"{self.salt}/order"), key

    def file_name(self, shard: int, count: int) -> str:
        """The name of a shard's file, in TFX's style. Readers see the compression in it."""
        return f"data_tfrecord-{shard:05d}-of-{count:05d}{'.gz' if self.compression else ''}"


def compression_of(path: str) -> str:
    """The compression of a shard, read off its name: "GZIP" or ""."""
    return "GZIP" if path.endswith(".gz") else ""


class WriteShards(beam.PTransform):
    """(`pictured`, `rows`) -> PCollection[Shard]: writes each row of `rows`, taking its picture from `pictured`.

    `pictured` is PCollection[ImageText] or several, `rows` is PCollection[RowByReference]. No other stage shuffles
    pictures. Every shard of every split is written, empty ones too. Split S lies in `folder`/Split-S, where TFX's
    Examples artifact has it.
    """

    def __init__(self, folder: str, layout: Layout) -> None:
        super().__init__()
        self._folder = folder
        self._layout = layout

    @beam.typehints.no_annotations  # Beam would warn that a pair of PCollections is not a PCollection
    def expand(self, pictured_and_rows: tuple[shuffle.PCollections, beam.PCollection]) -> beam.PCollection:
        layout, folder = self._layout, self._folder
        pictured, rows = pictured_and_rows
        counts = _counts(layout, {})
        if layout.shard_bytes:
            sizes = rows | "Size" >> beam.Map(_size, layout) | beam.CombinePerKey(sum)
            once = rows.pipeline | "Once" >> beam.Create([layout])
            counts = beam.pvalue.AsSingleton(once | "Counts" >> beam.Map(_counts, beam.pvalue.AsDict(sizes)))
        # Pictures wait here for the counts, so the rest of the row stays behind.
        pictures = [
            one | f"Picture {number}" >> beam.Map(lambda row: (row.split_key, row.key, row.reference, row.image))
            for number, one in enumerate(shuffle.several(pictured))
        ]
        disk = spool.Spool(folder) if spool.Spool.suits(rows.pipeline) else None
        if disk:
            pictures = [one | f"Spool {number}" >> disk.write() for number, one in enumerate(pictures)]
        if layout.shard_bytes:
            pictures = [tuple(pictures) | "Pictures" >> shuffle.Wait()]
            rows = rows | "Rows" >> shuffle.Wait()
        members = [
            *(
                one | f"PlacePicture {number}" >> beam.Map(_place_picture, layout, counts)
                for number, one in enumerate(pictures)
            ),
            rows | "PlaceRow" >> beam.Map(_place_row, layout, counts),
            rows.pipeline
            | "Splits" >> beam.Create(sorted(layout.splits))
            | "EveryShard" >> beam.FlatMap(_every_shard, counts),
        ]
        placed = tuple(members) | shuffle.GroupByKey()
        shards = placed | "Write" >> beam.Map(_write_shard, folder, layout, counts)
        return shards | "RemoveSpool" >> disk.remove_after() if disk else shards


_Place = tuple[str, int]  # split and number of a shard
_Image = bytes | spool.Spooled
_Picture = tuple[str, bytes, _Image]  # its row's place key, its reference, and itself encoded
_Member = RowByReference | _Picture | None


def _size(row: RowByReference, layout: Layout) -> tuple[str, int]:
    texts = sum(map(len, (row.key, row.caption, *row.more_captions)))
    return layout.split_of(row.split_key), row.referenced_bytes + texts + _OTHER_BYTES


def _counts(layout: Layout, sizes: dict[str, int]) -> dict[str, int]:
    return {split: layout.count(sizes.get(split, 0)) for split in layout.splits}


def _place(split_key: str, key: str, layout: Layout, counts: dict[str, int]) -> _Place:
    split = layout.split_of(split_key)
    return split, layout.shard_of(layout.place_key(split_key, key), counts[split])


def _place_row(row: RowByReference, layout: Layout, counts: dict[str, int]) -> tuple[_Place, _Member]:
    return _place(row.split_key, row.key, layout, counts), row


def _place_picture(
    picture: tuple[str, str, bytes, _Image], layout: Layout, counts: dict[str, int]
) -> tuple[_Place, _Member]:
    split_key, key, reference, image = picture
    return _place(split_key, key, layout, counts), (layout.place_key(split_key, key), reference, image)


def _every_shard(split: str, counts: dict[str, int]) -> Iterator[tuple[_Place, _Member]]:
    yield from (((split, shard), None) for shard in range(counts[split]))


def _write_shard(group: tuple[_Place, Iterable[_Member]], folder: str, layout: Layout, counts: dict[str, int]) -> Shard:
    (split, number), members = group
    rows: list[RowByReference] = []
    pictures: dict[tuple[str, bytes], _Image] = {}
    for member in members:
        if isinstance(member, RowByReference):
            rows.append(member)
        elif member:
            place_key, reference, image = member
            pictures[place_key, reference] = image
    rows.sort(key=lambda row: layout.order_of(layout.place_key(row.split_key, row.key), row.key))
    path = os.path.join(folder, f"Split-{split}", layout.file_name(number, counts[split]))
    with files.WholeFile(path) as unfinished, tf.io.TFRecordWriter(unfinished, layout.compression or None) as writer:
        images = spool.load(pictures[layout.place_key(row.split_key, row.key), row.reference] for row in rows)
        for row, image in zip(rows, images, strict=True):
            writer.write(row.with_image(image).to_example())
    digest, size = checksum(path)
    return Shard(split, os.path.relpath(path, folder), len(rows), size, digest)


def checksum(path: str) -> tuple[str, int]:
    """SHA-256 of a file in hexadecimal digits, and its size in bytes; it reads one block at a time."""
    digest, size = hashlib.sha256(), 0
    with tf.io.gfile.GFile(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


class WriteRejects(beam.PTransform):
    """PCollection[Rejected] -> PCollection of the paths written: rejects-*.jsonl, sorted by position."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def expand(self, rejected: beam.PCollection) -> beam.PCollection:
        folder = self._folder
        keyed = rejected | beam.Map(lambda row: (salted_hash(row.position, "reject") % REJECT_SHARDS, row))
        anchors = rejected.pipeline | "EveryFile" >> beam.Create([(number, None) for number in range(REJECT_SHARDS)])
        return (keyed, anchors) | shuffle.GroupByKey() | "Write" >> beam.Map(_write_rejects, folder)


def _write_rejects(group: tuple[int, Iterable[Rejected | None]], folder: str) -> str:
    number, members = group
    path = os.path.join(folder, f"rejects-{number:05d}-of-{REJECT_SHARDS:05d}.jsonl")
    rows = sorted((row for row in members if row is not None), key=lambda row: (row.position, row.reason, row.detail))
    with files.WholeFile(path) as unfinished, tf.io.gfile.GFile(unfinished, "w") as file:
        for row in rows:
            file.write(json.dumps(dataclasses.asdict(row), sort_keys=True) + "\n")
    return path
