"""The BatchCheck component."""

from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.components.base import executor_spec

from components import artifacts
from components.batch_check import executor
from components.declaration import Component


class BatchCheck(Component):
    """Fails if a batch is larger than the train split. It has no output; the Trainer would fail much later.

    Args:
      report: DataReport of the component that wrote the rows.
      batch_size: pairs in a training step.
      variants: variants that the Augmenter adds at most for each row; 0 if there is no Augmenter.
    """

    report: InputArtifact[artifacts.DataReport]
    batch_size: Parameter[int]
    variants: Parameter[int]

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
