"""EvaluationSuite's work."""

import os

from tfx.types import Artifact

from beam import store
from beam.evaluation_sets import EvaluationSuiteSettings, WriteEvaluationSets
from components.declaration import BeamExecutor, describe_examples, split_uri
from models import features
from models.settings import configuration


class Executor(BeamExecutor):
    """Runs `beam.evaluation_sets.WriteEvaluationSets`."""

    def run(self, examples: Artifact, settings: str, suite: Artifact, report: Artifact) -> None:
        """Writes Examples and report.

        Raises:
          NoRows: a set has no row left.
          ValueError: a training row shows a picture of a held-out scene.
        """
        own = split_uri(examples, features.OWN_SET)
        wanted = configuration.parse(settings, EvaluationSuiteSettings)
        describe_examples(suite, sorted(one.name for one in wanted.sets))
        with self._make_beam_pipeline() as pipeline:
            pipeline | "Sets" >> WriteEvaluationSets(wanted, own, suite.uri, report.uri, split_uri(examples, "train"))
        for one in wanted.sets:
            store.require_rows(os.path.join(report.uri, one.name), one.origin(own))
