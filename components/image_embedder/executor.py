"""ImageEmbedder's work."""

import functools
import os
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs

from beam.embed import EmbedImages
from models.pretrained import embedder

GIN_KEY = "gin"
EMBEDDED_KEY = "embedded"


class Executor(base_beam_executor.BaseBeamExecutor):
    """Runs `beam.embed.EmbedImages` over all shards."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes a shard with embeddings for every shard with pictures."""
        examples = artifact_utils.get_single_instance(input_dict[standard_component_specs.EXAMPLES_KEY])
        embedded = artifact_utils.get_single_instance(output_dict[EMBEDDED_KEY])
        embedded.split_names = examples.split_names
        examples_utils.set_payload_format(embedded, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)
        sources = sorted(tf.io.gfile.glob(os.path.join(examples.uri, "Split-*", "*")))
        paths = [(path, embedded.uri + path.removeprefix(examples.uri)) for path in sources]
        maker = functools.partial(embedder.create, exec_properties[GIN_KEY])
        with self._make_beam_pipeline() as pipeline:
            pipeline | beam.Create(paths) | EmbedImages(maker)
