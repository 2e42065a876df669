"""The EvaluationSuite component."""

from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from components import artifacts
from components.declaration import BeamComponent
from components.evaluation_suite import driver, executor


class EvaluationSuite(BeamComponent):
    """Brings every set that a model is evaluated on into one place.

    Outputs: `suite` (Examples with one split for each set; each row names its set and has one caption) and `report`
    (DataReport: classes.json, and a folder with manifest and rejects for each set). It runs again when a source or a
    shard of a set changes.

    Args:
      examples: Examples whose split eval is the set "eval".
      settings: gin text of `beam.evaluation_sets.EvaluationSuiteSettings`.
      input_fingerprint: fingerprint of the sets' input, on a platform that runs no driver to add it.
    """

    examples: InputArtifact[standard_artifacts.Examples]
    settings: Parameter[str]
    input_fingerprint: Parameter[str] = None

    OUTPUTS = {"suite": standard_artifacts.Examples, "report": artifacts.DataReport}
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver
