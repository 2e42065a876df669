"""Augmenter's work."""

import itertools
import json
import os
from typing import Any

from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs

from beam import augment, reader, thumbnails, writer
from beam.records import ImageText

OPTIONS_KEY = "options"
LAYOUT_KEY = "layout"
AUGMENTED_KEY = "augmented"
REPORT_KEY = "report"
SAMPLES_FILE = "samples.json"
_SAMPLES = 8


class Executor(base_beam_executor.BaseBeamExecutor):
    """Runs `beam.augment.Augment`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the Examples with variants, and the report."""
        examples = artifact_utils.get_single_instance(input_dict[standard_component_specs.EXAMPLES_KEY])
        augmented = artifact_utils.get_single_instance(output_dict[AUGMENTED_KEY])
        report = artifact_utils.get_single_uri(output_dict[REPORT_KEY])
        augmented.split_names = examples.split_names
        examples_utils.set_payload_format(augmented, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)
        options = augment.AugmentOptions(**json.loads(exec_properties[OPTIONS_KEY]))
        layout = writer.Layout(**json.loads(exec_properties[LAYOUT_KEY]))
        with self._make_beam_pipeline() as pipeline:
            pipeline | "Augment" >> augment.Augment(options, layout, examples.uri, augmented.uri, report)
        samples = json.dumps(_samples(examples.uri, options), indent=1)
        writer.write_text(os.path.join(report, SAMPLES_FILE), samples)


def _samples(folder: str, options: augment.AugmentOptions) -> list[dict[str, Any]]:
    """The first rows, in the order of a hash, with the variants that were made of them; for the run's page."""
    paths = [path for path in reader.shards(folder) if f"/Split-{options.splits[0]}/" in path]
    rows = itertools.islice(itertools.chain.from_iterable(map(reader.read_shard, paths)), _SAMPLES)
    return [{**_shown(row), "variants": [_shown(made) for made in augment.variants_of(row, options)]} for row in rows]


def _shown(row: ImageText) -> dict[str, Any]:
    return {"image": thumbnails.data_address(row.image), "caption": row.caption, "variant": row.variant}
