"""The InfraValidator component."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, channel, component_spec, standard_artifacts, standard_component_specs

from components.infra_validator import executor


class InfraValidatorSpec(component_spec.ComponentSpec):
    """A Model and Examples in, TFX's InfraBlessing out."""

    PARAMETERS = {
        executor.SETTINGS_KEY: component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        standard_component_specs.MODEL_KEY: component_spec.ChannelParameter(type=standard_artifacts.Model),
        standard_component_specs.EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {
        standard_component_specs.BLESSING_KEY: component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing)
    }


class InfraValidator(base_component.BaseComponent):
    """Serves the model and sends real requests over TF Serving's protos.

    TFX's own InfraValidator serves in Docker or on Kubernetes, by runners that this one uses, too; but it cannot send
    what our signatures take, measures nothing, and needs one of the two. Both bless in the same way, so that TFX's
    Pusher reads `blessing` (InfraBlessing); serving_check.json beside it holds what was measured.
    """

    SPEC_CLASS = InfraValidatorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, model: BaseChannel, examples: BaseChannel, settings: str) -> None:
        """Makes the component.

        Args:
          model: the Model to serve.
          examples: where the pictures and captions of the requests come from (split eval).
          settings: the fields of InfraValidatorSettings, as JSON.
        """
        key = standard_component_specs
        super().__init__(
            spec=InfraValidatorSpec(
                **{
                    key.MODEL_KEY: model,
                    key.EXAMPLES_KEY: examples,
                    executor.SETTINGS_KEY: settings,
                    key.BLESSING_KEY: channel.Channel(type=standard_artifacts.InfraBlessing),
                }
            )
        )
