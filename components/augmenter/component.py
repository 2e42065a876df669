"""The Augmenter component."""

from tfx.dsl.components.base import executor_spec

from components.augmenter import executor
from components.data_stage import DataStage


class Augmenter(DataStage):
    """Adds views of pictures and rewrites of captions to the training splits.

    `settings` is gin text of `beam.augment.augment.AugmenterSettings`; samples.json in the report shows some variants.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
