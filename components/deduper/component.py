"""The Deduper component."""

from tfx.dsl.components.base import executor_spec

from components.data_stage import DataStage
from components.deduper import driver, executor


class Deduper(DataStage):
    """Keeps one row of those that are alike, a held-out one where there is one, and drops what evaluation sets have.

    Takes the fields of `beam.dedupe.DeduperSettings`; clusters.json and samples.json in its report tell what was found.
    It runs again when a file of an evaluation set changes.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver
