"""ImageEmbedder's work."""

import functools
import os

import apache_beam as beam
import tensorflow as tf
from tfx.types import Artifact

from beam.embed import EmbedImages
from components.declaration import BeamExecutor, copy_description
from models.pretrained import embedder


class Executor(BeamExecutor):
    """Runs `beam.embed.EmbedImages` over all shards."""

    def run(self, examples: Artifact, settings: str, embedded: Artifact) -> None:
        """Writes a shard with embeddings for every shard with pictures."""
        copy_description(examples, embedded)
        sources = sorted(tf.io.gfile.glob(os.path.join(examples.uri, "Split-*", "*")))
        paths = [(path, embedded.uri + path.removeprefix(examples.uri)) for path in sources]
        with self._make_beam_pipeline() as pipeline:
            pipeline | beam.Create(paths) | EmbedImages(functools.partial(embedder.create, settings))
