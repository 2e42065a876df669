"""The InputState component."""

from tfx.dsl.component.experimental.annotations import Parameter
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from components.declaration import Component
from components.input_state import executor


class InputState(Component):
    """Does the work of the drivers of ImageTextGen, Deduper and EvaluationSuite on Kubeflow Pipelines, which run none.

    It is never served from cache. Outputs, each a String: `current_image_text_gen`, the settings of ImageTextGen with
    the newest span; `source_state`, `evaluation_state` and `suite_state`, the fingerprints of the source's files, of
    the evaluation sets that Deduper reads, and of the sets of EvaluationSuite.

    Args:
      image_text_gen: gin text of `beam.build.ImageTextGenSettings`.
      data: a path that replaces the source's own, or "".
      deduper: gin text of `beam.dedupe.DeduperSettings`, or "" if there is no Deduper.
      suite: gin text of `beam.evaluation_sets.EvaluationSuiteSettings`.
    """

    image_text_gen: Parameter[str]
    data: Parameter[str]
    deduper: Parameter[str]
    suite: Parameter[str]

    OUTPUTS = {
        "current_image_text_gen": standard_artifacts.String,
        "source_state": standard_artifacts.String,
        "evaluation_state": standard_artifacts.String,
        "suite_state": standard_artifacts.String,
    }
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
