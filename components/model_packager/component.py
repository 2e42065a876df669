"""The ModelPackager component."""

from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from components import artifacts
from components.declaration import Component
from components.model_packager import executor


class ModelPackager(Component):
    """Makes the model that is evaluated, gated and pushed out of the trained one; nothing changes after the gate.

    Output: `packaged` (Model). It has the label embeddings of every set, for the signatures classify_NAME and for the
    metrics; warm-up requests; and weights in fewer bits if asked, with their cost in packaging.json.

    Args:
      model: the Trainer's Model.
      suite: Examples of the EvaluationSuite, whose split eval provides the warm-up requests.
      classes: the EvaluationSuite's report.
      label_sets: JSON of {name: {"labels": texts, or [] for the classes of the evaluation set of this name,
        "templates": texts with {} for the label}}; a set without labels is left out.
      weights: one of `models.serving.compression.DTYPES`.
    """

    model: InputArtifact[standard_artifacts.Model]
    suite: InputArtifact[standard_artifacts.Examples]
    classes: InputArtifact[artifacts.DataReport]
    label_sets: Parameter[str]
    weights: Parameter[str]

    OUTPUTS = {"packaged": standard_artifacts.Model}
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
