"""EvaluationSuite's work."""

import json
import os
from typing import Any

import tensorflow as tf
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_component_specs

from beam import reader, sources, store
from beam.evaluation_sets import EvaluationSet, WriteEvaluationSets
from components.evaluation_suite.driver import SETS_KEY
from models import features

SUITE_KEY = "suite"
REPORT_KEY = "report"


class Executor(base_beam_executor.BaseBeamExecutor):
    """Runs `beam.evaluation_sets.WriteEvaluationSets`."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes Examples and report.

        Raises:
          NoRows: a set came out empty.
        """
        own = artifact_utils.get_split_uri(input_dict[standard_component_specs.EXAMPLES_KEY], features.OWN_SET)
        suite = artifact_utils.get_single_instance(output_dict[SUITE_KEY])
        report = artifact_utils.get_single_uri(output_dict[REPORT_KEY])
        sets = json.loads(exec_properties[SETS_KEY])
        suite.split_names = artifact_utils.encode_split_names(sorted(sets))
        examples_utils.set_payload_format(suite, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)
        made = {
            name: EvaluationSet(_origin(one, own), tuple(one["classes"]), one["all_captions"])
            for name, one in sets.items()
        }
        with self._make_beam_pipeline() as pipeline:
            pipeline | "Sets" >> WriteEvaluationSets(made, suite.uri, report)
        for name, one in sets.items():
            store.require_rows(os.path.join(report, name), one["source"] or one["examples"] or own)


def _origin(one: dict[str, Any], own: str) -> sources.Source | list[str]:
    if one["source"]:
        return sources.from_json(one["source"])
    if one["examples"]:
        return reader.shards(one["examples"])
    return sorted(tf.io.gfile.glob(os.path.join(own, "*")))
