"""The ImageTextGen component."""

from tfx.dsl.component.experimental.annotations import Parameter
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from components import artifacts
from components.declaration import BeamComponent
from components.image_text_gen import driver, executor


class ImageTextGen(BeamComponent):
    """Reads image-text pairs from any source of `beam.sources` and writes TFX Examples.

    Outputs: `examples` (Examples with the splits that the settings name) and `report` (DataReport). The component runs
    again when its settings change, or the input that the source reads.

    Args:
      settings: gin text of `beam.build.ImageTextGenSettings`.
      input_fingerprint: fingerprint of the input, on a platform that runs no driver to add it.
    """

    settings: Parameter[str]
    input_fingerprint: Parameter[str] = None

    OUTPUTS = {"examples": standard_artifacts.Examples, "report": artifacts.DataReport}
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)
    DRIVER_CLASS = driver.Driver
