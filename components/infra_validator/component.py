"""The InfraValidator component."""

from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from components.declaration import Component
from components.infra_validator import executor


class InfraValidator(Component):
    """Serves the model and sends real requests over TF Serving's protos.

    TFX's own InfraValidator needs Docker or Kubernetes, cannot send requests to our signatures, and measures nothing.
    This one uses its runners for these two platforms, and blesses in the same way, so that TFX's Pusher reads the
    output `blessing` (InfraBlessing). serving_check.json beside the blessing holds the measurements.

    Args:
      model: the Model to serve.
      examples: Examples whose split eval provides the pictures and captions of the requests.
      settings: gin text of InfraValidatorSettings.
    """

    model: InputArtifact[standard_artifacts.Model]
    examples: InputArtifact[standard_artifacts.Examples]
    settings: Parameter[str]

    OUTPUTS = {"blessing": standard_artifacts.InfraBlessing}
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
