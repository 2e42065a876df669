"""EvaluationSuite's work."""

import json
import os
from typing import Any

import tensorflow as tf
from tfx.types import Artifact

from beam import reader, sources, store
from beam.evaluation_sets import EvaluationSet, WriteEvaluationSets
from components.declaration import BeamExecutor, describe_examples, split_uri
from models import features


class Executor(BeamExecutor):
    """Runs `beam.evaluation_sets.WriteEvaluationSets`."""

    def run(self, examples: Artifact, sets: str, suite: Artifact, report: Artifact) -> None:
        """Writes Examples and report.

        Raises:
          NoRows: a set has no row left.
        """
        own, wanted = split_uri(examples, features.OWN_SET), json.loads(sets)
        describe_examples(suite, sorted(wanted))
        made = {
            name: EvaluationSet(_origin(one, own), tuple(one["classes"]), one["all_captions"])
            for name, one in wanted.items()
        }
        with self._make_beam_pipeline() as pipeline:
            pipeline | "Sets" >> WriteEvaluationSets(made, suite.uri, report.uri)
        for name, one in wanted.items():
            store.require_rows(os.path.join(report.uri, name), one["source"] or one["examples"] or own)


def _origin(one: dict[str, Any], own: str) -> sources.Source | list[str]:
    if one["source"]:
        return sources.from_json(one["source"])
    if one["examples"]:
        return reader.shards(one["examples"])
    return sorted(tf.io.gfile.glob(os.path.join(own, "*")))
