"""The VisualCodebook component."""

from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from components import artifacts
from components.declaration import Component
from components.visual_codebook import executor


class VisualCodebook(Component):
    """Makes the visual codes of masked pictures: k-means over patches of the train split, or a copy of a file.

    Output: `codebook` (VisualCodebook).

    Args:
      examples: Examples with a train split.
      settings: gin text of `models.settings.VisualCodesSettings`.
    """

    examples: InputArtifact[standard_artifacts.Examples]
    settings: Parameter[str]

    OUTPUTS = {"codebook": artifacts.VisualCodebook}
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
