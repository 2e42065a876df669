"""LastPushedModel: the last blessed model, where the platform has no resolvers."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import channel, component_spec, standard_artifacts, standard_component_specs

from components.model_resolver import executor


class LastPushedModelSpec(component_spec.ComponentSpec):
    """A Pusher's destination in, a Model out."""

    PARAMETERS = {standard_component_specs.PUSH_DESTINATION_KEY: component_spec.ExecutionParameter(type=str)}
    INPUTS: dict[str, component_spec.ChannelParameter] = {}
    OUTPUTS = {standard_component_specs.MODEL_KEY: component_spec.ChannelParameter(type=standard_artifacts.Model)}


class LastPushedModel(base_component.BaseComponent):
    """Copies the newest model that Pusher has published, as open-source Kubeflow Pipelines run no resolvers.

    What is pushed, Evaluator and InfraValidator have both blessed. It is never served from cache. While nothing has
    been pushed, `model` (Model) has no SavedModel, and `executor.present` leaves it out.
    """

    SPEC_CLASS = LastPushedModelSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, push_destination: str | RuntimeParameter) -> None:
        """Makes the component; `push_destination` is JSON of TFX's PushDestination."""
        key = standard_component_specs
        model = channel.Channel(type=standard_artifacts.Model)
        super().__init__(spec=LastPushedModelSpec(**{key.PUSH_DESTINATION_KEY: push_destination, key.MODEL_KEY: model}))
