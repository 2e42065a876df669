"""The InfraValidator component."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, channel, component_spec, standard_artifacts, standard_component_specs

from components.infra_validator import executor


class InfraValidatorSpec(component_spec.ComponentSpec):
    """A Model and Examples in, TFX's InfraBlessing out."""

    PARAMETERS = {
        executor.ROWS_KEY: component_spec.ExecutionParameter(type=int),
        executor.MAX_LOAD_SECONDS_KEY: component_spec.ExecutionParameter(type=float),
    }
    INPUTS = {
        standard_component_specs.MODEL_KEY: component_spec.ChannelParameter(type=standard_artifacts.Model),
        standard_component_specs.EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {
        standard_component_specs.BLESSING_KEY: component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing)
    }


class InfraValidator(base_component.BaseComponent):
    """Serves the model from a clean process and sends real requests over TF Serving's protos.

    TFX's own InfraValidator knows Docker and Kubernetes only. This one needs neither, and blesses in the same way, so
    that TFX's Pusher reads its `blessing` (InfraBlessing); serving_check.json beside it holds what was measured.
    """

    SPEC_CLASS = InfraValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, model: BaseChannel, examples: BaseChannel, rows: int, max_load_seconds: float) -> None:
        """Makes the component.

        Args:
          model: the Model to serve.
          examples: where the pictures and captions of the requests come from (split eval).
          rows: pairs in a request.
          max_load_seconds: time the server may take to start and load.
        """
        key = standard_component_specs
        super().__init__(
            spec=InfraValidatorSpec(
                **{
                    key.MODEL_KEY: model,
                    key.EXAMPLES_KEY: examples,
                    executor.ROWS_KEY: rows,
                    executor.MAX_LOAD_SECONDS_KEY: max_load_seconds,
                    key.BLESSING_KEY: channel.Channel(type=standard_artifacts.InfraBlessing),
                }
            )
        )
