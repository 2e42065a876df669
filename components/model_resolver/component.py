"""LastPushedModel: finds the last blessed model on a platform that runs no resolvers."""

from tfx.dsl.component.experimental.annotations import Parameter
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from components.declaration import Component
from components.model_resolver import executor


class LastPushedModel(Component):
    """Copies the newest model that Pusher has published, because open-source Kubeflow Pipelines run no resolvers.

    Evaluator and InfraValidator have both blessed every pushed model. The component is never served from cache. Output:
    `model` (Model); it has no SavedModel while nothing has been pushed, and `executor.present` then leaves it out.

    Args:
      push_destination: JSON of TFX's PushDestination.
    """

    push_destination: Parameter[str]

    OUTPUTS = {"model": standard_artifacts.Model}
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
