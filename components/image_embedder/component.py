"""The ImageEmbedder component."""

from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from components.declaration import BeamComponent
from components.image_embedder import executor


class ImageEmbedder(BeamComponent):
    """Embeds every picture once with the pretrained image tower, so that training never runs it (SigLiT).

    Output: `embedded` (Examples with the same splits, shards and rows; each row has an embedding in place of its
    picture).

    Args:
      examples: Examples.
      settings: gin text of `models.settings.EmbeddingSettings`.
    """

    examples: InputArtifact[standard_artifacts.Examples]
    settings: Parameter[str]

    OUTPUTS = {"embedded": standard_artifacts.Examples}
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
