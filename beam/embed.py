"""Replaces pictures by the embeddings of a locked tower, so that training does not run that tower (SigLiT)."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import apache_beam as beam
import numpy as np
import tensorflow as tf
from apache_beam.metrics import Metrics

from beam import stages, writer
from models import features, files

Embedder = Callable[[Sequence[bytes]], np.ndarray]
"""Encoded pictures -> float32 [N, D], unit norm."""


class EmbedImages(beam.PTransform):
    """PCollection of (path of a shard, path of the shard to write) -> PCollection[int], the rows of each shard.

    Each row of the new shard has the embedding in place of the picture; the order and all other features stay. A shard
    appears under its name when it is whole.
    """

    def __init__(self, make_embedder: Callable[[], Embedder], batch_size: int = 64) -> None:
        """Stores the maker of the embedder; each worker calls it once.

        Args:
          make_embedder: a function that can be pickled.
          batch_size: pictures that are embedded at a time.
        """
        super().__init__()
        self._make_embedder, self._batch_size = make_embedder, batch_size

    def expand(self, shards: beam.PCollection) -> beam.PCollection:
        return shards | beam.Reshuffle() | beam.ParDo(_EmbedShard(self._make_embedder, self._batch_size))


class _EmbedShard(beam.DoFn):
    def __init__(self, make_embedder: Callable[[], Embedder], batch_size: int) -> None:
        super().__init__()
        self._make_embedder, self._batch_size = make_embedder, batch_size
        self._embedded = Metrics.counter(stages.COUNTERS, "embedded")

    def setup(self) -> None:
        self._embed, self._progress = self._make_embedder(), stages.Progress("embedded")

    def process(self, paths: tuple[str, str]) -> Iterator[int]:
        source, target = paths
        count = 0
        rows = tf.data.TFRecordDataset(source, writer.compression_of(source))
        compression = writer.compression_of(target)
        with files.WholeFile(target) as unfinished, tf.io.TFRecordWriter(unfinished, compression) as file:
            for batch in rows.batch(self._batch_size).as_numpy_iterator():
                for example in self._with_embeddings(batch):
                    file.write(example)
                count += len(batch)
                self._embedded.inc(len(batch))
                self._progress.add(len(batch))
        yield count

    def _with_embeddings(self, serialized: Iterable[bytes]) -> Iterator[bytes]:
        examples = [tf.train.Example.FromString(one) for one in serialized]
        pictures = [example.features.feature[features.IMAGE].bytes_list.value[0] for example in examples]
        for example, embedding in zip(examples, self._embed(pictures), strict=True):
            del example.features.feature[features.IMAGE]
            example.features.feature[features.IMAGE_EMBEDDING].float_list.value.extend(embedding.tolist())
            yield example.SerializeToString(deterministic=True)
