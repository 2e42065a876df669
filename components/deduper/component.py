"""The Deduper component."""

from tfx.dsl.components.base import executor_spec

from components.data_stage import DataStage
from components.deduper import driver, executor


class Deduper(DataStage):
    """Keeps one row of each cluster of near-duplicates, and drops rows that an evaluation set has too.

    It prefers a held-out row to a training row. `settings` is gin text of `beam.dedupe.DeduperSettings`; clusters.json
    and samples.json in the report list what was found. It runs again when a file of an evaluation set changes.
    """

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver
