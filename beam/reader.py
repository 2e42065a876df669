"""Reads the rows of shards that an earlier stage has written; a worker reads one shard at a time."""

import itertools
from collections.abc import Iterable, Iterator

import apache_beam as beam
import tensorflow as tf

from beam import writer
from beam.records import ImageText

_BATCH = 8  # rows


class ReadShards(beam.PTransform):
    """Pipeline -> PCollection[ImageText] of all splits of a folder of Examples; positions are "path:row"."""

    def __init__(self, examples_folder: str) -> None:
        super().__init__()
        self._folder = examples_folder

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        return pipeline | beam.Create(shards(self._folder)) | beam.Reshuffle() | beam.FlatMap(read_shard)


def shards(examples_folder: str) -> list[str]:
    """Sorted paths of the shards of all splits, or of one split if the folder is Split-NAME.

    Raises:
      FileNotFoundError: there is no shard.
    """
    folder = examples_folder.rstrip("/")
    one_split = folder.rpartition("/")[2].startswith("Split-")
    pattern = f"{folder}/*" if one_split else f"{folder}/Split-*/*"
    paths = sorted(tf.io.gfile.glob(pattern))
    if not paths:
        raise FileNotFoundError(f"no shard matches {pattern}; name the folder of an Examples artifact")
    return paths


def shard_state(path: str) -> str:
    """Path, size and modification time of a shard, which change with its content."""
    stat = tf.io.gfile.stat(path)
    return f"{path} {stat.length} {stat.mtime_nsec}"


def read_shard(path: str) -> Iterator[ImageText]:
    """The rows of one shard, in the order of the file."""
    for number, example in _numbered(path):
        yield ImageText.from_example(example, f"{path}:{number}")


def read_at(positions: Iterable[str]) -> Iterator[ImageText]:
    """The rows at these positions; it reads each shard only up to the last position in it."""
    wanted: dict[str, set[int]] = {}
    for position in positions:
        path, _, row = position.rpartition(":")
        wanted.setdefault(path, set()).add(int(row))
    for path, there in sorted(wanted.items()):
        for number, example in itertools.islice(_numbered(path), max(there)):
            if number in there:
                yield ImageText.from_example(example, f"{path}:{number}")


def _numbered(path: str) -> Iterator[tuple[int, bytes]]:
    """Serialized Examples, numbered from 1; in batches, because TensorFlow takes .1 ms for each element it yields."""
    batches = tf.data.TFRecordDataset(path, writer.compression_of(path)).batch(_BATCH)
    return enumerate(itertools.chain.from_iterable(batches.as_numpy_iterator()), start=1)
