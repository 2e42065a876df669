"""The Trainer component: TFX's specification and executor, and a vocabulary."""

from collections.abc import Mapping
from typing import Any

from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.components.base import executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.proto import trainer_pb2
from tfx.types import BaseChannel, standard_component_specs
from tfx.utils import json_utils

from components.artifacts import VisualCodebook, Vocabulary
from components.declaration import Component
from components.trainer import executor
from models import run_fn


class Trainer(Component):
    """Trains the towers and exports a SavedModel, by `models.run_fn.run_fn` in TFX's generic Trainer executor.

    It extends the specification of TFX's Trainer, which has no vocabulary, no codebook and no number of steps. Outputs:
    `model` (Model; a SavedModel with all preprocessing inside) and `model_run` (ModelRun; TensorBoard events and
    training_log.jsonl).
    """

    vocabulary: InputArtifact[Vocabulary]
    steps: Parameter[int]
    visual_codebook: InputArtifact[VisualCodebook] = None

    SPEC_CLASS = standard_component_specs.TrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        *,
        examples: BaseChannel,
        schema: BaseChannel,
        vocabulary: BaseChannel,
        gin: str,
        steps: int | RuntimeParameter,
        checkpoints: str,
        base_model: BaseChannel | None = None,
        visual_codebook: BaseChannel | None = None,
        custom_config: Mapping[str, Any] | None = None,
    ) -> None:
        """Makes the component.

        Args:
          examples: Examples with a train and an eval split; training measures eval, but never learns from it.
          schema: Schema of the examples; training waits for it, and so for their statistics.
          vocabulary: Vocabulary.
          gin: resolved gin text of `models.settings.TrainingSettings`.
          steps: training steps; replaces those of the gin text.
          checkpoints: folder with the state of all training runs; a run that was killed continues from it.
          base_model: Model whose weights training starts from, if there is such a model yet.
          visual_codebook: VisualCodebook, if the objective asks for one.
          custom_config: further entries for an executor other than TFX's own.
        """
        config = {**(custom_config or {}), run_fn.GIN_KEY: gin, run_fn.CHECKPOINTS_KEY: checkpoints}
        super().__init__(
            examples=examples,
            schema=schema,
            vocabulary=vocabulary,
            base_model=base_model,
            visual_codebook=visual_codebook,
            run_fn=f"{run_fn.__name__}.run_fn",
            train_args=trainer_pb2.TrainArgs(splits=["train"]),
            eval_args=trainer_pb2.EvalArgs(splits=["eval"]),
            steps=steps,
            custom_config=json_utils.dumps(config),
        )
