"""The ImageTextGen component."""

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.dsl.placeholder.placeholder import Placeholder
from tfx.types import channel, component_spec, standard_artifacts, standard_component_specs

from components import artifacts, fingerprint_driver
from components.image_text_gen import driver, executor

SOURCE_KEY = executor.SOURCE_KEY
OPTIONS_KEY = executor.OPTIONS_KEY
REPORT_KEY = executor.REPORT_KEY


class ImageTextGenSpec(component_spec.ComponentSpec):
    """Two JSON texts in; Examples and a DataReport out."""

    PARAMETERS = {
        SOURCE_KEY: component_spec.ExecutionParameter(type=str),
        OPTIONS_KEY: component_spec.ExecutionParameter(type=str),
        fingerprint_driver.FINGERPRINT_KEY: component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS: dict[str, component_spec.ChannelParameter] = {}
    OUTPUTS = {
        standard_component_specs.EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        REPORT_KEY: component_spec.ChannelParameter(type=artifacts.DataReport),
    }


class ImageTextGen(base_beam_component.BaseBeamComponent):
    """Reads image-text pairs from any source of `beam.sources` and writes TFX Examples.

    Outputs: `examples` (Examples, one split a name) and `report` (DataReport). The component runs again when its
    options or the input behind the source change.
    """

    SPEC_CLASS = ImageTextGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver

    def __init__(
        self, source: str | Placeholder, options: str, input_fingerprint: str | Placeholder | None = None
    ) -> None:
        """Makes the component.

        Args:
          source: a source as `beam.sources.to_json` writes it.
          options: `beam.build.BuildOptions` as its `to_json` writes it.
          input_fingerprint: of the input, where no driver runs that adds it.
        """
        super().__init__(
            spec=ImageTextGenSpec(
                **{
                    SOURCE_KEY: source,
                    OPTIONS_KEY: options,
                    fingerprint_driver.FINGERPRINT_KEY: input_fingerprint,
                    standard_component_specs.EXAMPLES_KEY: channel.Channel(type=standard_artifacts.Examples),
                    REPORT_KEY: channel.Channel(type=artifacts.DataReport),
                }
            )
        )
