"""The ModelPackager component."""

from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from components import artifacts
from components.declaration import Component
from components.model_packager import executor


class ModelPackager(Component):
    """Packages the trained model for evaluation and serving. Evaluator and Pusher take it unchanged.

    Output: `packaged` (Model). It has the label embeddings of every set, for the signatures classify_NAME and for the
    metrics; warm-up requests; and weights in fewer bits if asked, with their cost in packaging.json.

    Args:
      model: the Trainer's Model.
      suite: Examples of the EvaluationSuite, whose split eval provides the warm-up requests.
      classes: the EvaluationSuite's report.
      sets: gin text of `beam.evaluation_sets.EvaluationSuiteSettings`: names, classes and templates.
      settings: gin text of PackagingSettings.
    """

    model: InputArtifact[standard_artifacts.Model]
    suite: InputArtifact[standard_artifacts.Examples]
    classes: InputArtifact[artifacts.DataReport]
    sets: Parameter[str]
    settings: Parameter[str]

    OUTPUTS = {"packaged": standard_artifacts.Model}
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
