"""Reads the rows of shards that an earlier stage has written; a worker reads one shard at a time."""

from collections.abc import Iterable, Iterator

import apache_beam as beam
import tensorflow as tf

from beam import writer
from beam.records import ImageText


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


def read_shard(path: str) -> Iterator[ImageText]:
    """The rows of one shard, in the order of the file."""
    serialized = tf.data.TFRecordDataset(path, writer.compression_of(path))
    for number, example in enumerate(serialized.as_numpy_iterator(), start=1):
        yield ImageText.from_example(example, f"{path}:{number}")


def read_at(positions: Iterable[str]) -> Iterator[ImageText]:
    """The rows at these positions; it reads each shard only up to the last position in it."""
    wanted: dict[str, set[str]] = {}
    for position in positions:
        wanted.setdefault(position.rpartition(":")[0], set()).add(position)
    for path, there in sorted(wanted.items()):
        for row in read_shard(path):
            if row.position in there:
                yield row
                there.remove(row.position)
                if not there:
                    break
