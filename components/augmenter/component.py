"""The Augmenter component."""

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import BaseChannel, channel, component_spec, standard_artifacts, standard_component_specs

from components import artifacts
from components.augmenter import executor


class AugmenterSpec(component_spec.ComponentSpec):
    """Examples and two JSON texts in; Examples and a DataReport out."""

    PARAMETERS = {
        executor.OPTIONS_KEY: component_spec.ExecutionParameter(type=str),
        executor.LAYOUT_KEY: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {standard_component_specs.EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples)}
    OUTPUTS = {
        executor.AUGMENTED_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        executor.REPORT_KEY: component_spec.ChannelParameter(type=artifacts.DataReport),
    }


class Augmenter(base_beam_component.BaseBeamComponent):
    """Adds views of pictures and rewrites of captions to the splits that are trained on.

    Outputs: `augmented` (Examples, the rows of before and their variants) and `report` (DataReport, with samples.json,
    which shows some).
    """

    SPEC_CLASS = AugmenterSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(self, examples: BaseChannel, options: str, layout: str) -> None:
        """Makes the component.

        Args:
          examples: Examples.
          options: JSON of the fields of `beam.augment.AugmentOptions`.
          layout: JSON of the fields of the `beam.writer.Layout` that the examples were written with.
        """
        super().__init__(
            spec=AugmenterSpec(
                **{
                    standard_component_specs.EXAMPLES_KEY: examples,
                    executor.OPTIONS_KEY: options,
                    executor.LAYOUT_KEY: layout,
                    executor.AUGMENTED_KEY: channel.Channel(type=standard_artifacts.Examples),
                    executor.REPORT_KEY: channel.Channel(type=artifacts.DataReport),
                }
            )
        )
