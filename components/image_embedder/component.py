"""The ImageEmbedder component."""

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import BaseChannel, channel, component_spec, standard_artifacts, standard_component_specs

from components.image_embedder import executor


class ImageEmbedderSpec(component_spec.ComponentSpec):
    """Examples and a gin text in; Examples out."""

    PARAMETERS = {executor.GIN_KEY: component_spec.ExecutionParameter(type=str)}
    INPUTS = {standard_component_specs.EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples)}
    OUTPUTS = {executor.EMBEDDED_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples)}


class ImageEmbedder(base_beam_component.BaseBeamComponent):
    """Embeds every picture once with the pretrained image tower, so that training never runs it (SigLiT).

    Output: `embedded` (Examples with the same splits, shards and rows, the embedding in place of the picture).
    """

    SPEC_CLASS = ImageEmbedderSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(self, examples: BaseChannel, gin: str) -> None:
        """Makes the component.

        Args:
          examples: Examples.
          gin: resolved gin text of the `models.settings.EmbeddingSettings`.
        """
        super().__init__(
            spec=ImageEmbedderSpec(
                **{
                    standard_component_specs.EXAMPLES_KEY: examples,
                    executor.GIN_KEY: gin,
                    executor.EMBEDDED_KEY: channel.Channel(type=standard_artifacts.Examples),
                }
            )
        )
