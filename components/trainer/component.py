"""The Trainer component: TFX's specification and executor, and a vocabulary."""

from collections.abc import Mapping
from typing import Any

from tfx.dsl.components.base import base_component, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.proto import trainer_pb2
from tfx.types import BaseChannel, channel, component_spec, standard_artifacts, standard_component_specs
from tfx.utils import json_utils

from components import artifacts
from components.trainer import executor
from models import run_fn


class TrainerSpec(component_spec.ComponentSpec):
    """TFX's, and the vocabulary: TFX's own has no place for what the run function reads beside Examples and Schema."""

    PARAMETERS = {
        **standard_component_specs.TrainerSpec.PARAMETERS,
        run_fn.STEPS_KEY: component_spec.ExecutionParameter(type=int),
    }
    INPUTS = {
        **standard_component_specs.TrainerSpec.INPUTS,
        executor.VOCABULARY_KEY: component_spec.ChannelParameter(type=artifacts.Vocabulary),
    }
    OUTPUTS = standard_component_specs.TrainerSpec.OUTPUTS


class Trainer(base_component.BaseComponent):
    """Runs `models.run_fn.run_fn` through TFX's generic Trainer executor.

    Outputs: `model` (Model; a SavedModel with all preprocessing inside) and `model_run` (ModelRun; TensorBoard events
    and training_log.jsonl).
    """

    SPEC_CLASS = TrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: BaseChannel,
        schema: BaseChannel,
        vocabulary: BaseChannel,
        gin: str,
        steps: int | RuntimeParameter,
        checkpoints: str,
        base_model: BaseChannel | None = None,
        custom_config: Mapping[str, Any] | None = None,
    ) -> None:
        """Makes the component.

        Args:
          examples: Examples with a train and an eval split; held-out rows of eval are looked at, and not trained on.
          schema: Schema of the examples; training waits for it, and so for their statistics.
          vocabulary: Vocabulary.
          gin: resolved gin text of `models.settings.TrainingSettings`.
          steps: training steps, in place of those of the gin text.
          checkpoints: folder of the state of all training runs; one that was killed goes on from there.
          base_model: Model that weights start from, if there is one yet.
          custom_config: what another executor than TFX's own needs to know.
        """
        key = standard_component_specs
        config = {**(custom_config or {}), run_fn.GIN_KEY: gin, run_fn.CHECKPOINTS_KEY: checkpoints}
        super().__init__(
            spec=TrainerSpec(
                **{
                    key.EXAMPLES_KEY: examples,
                    key.SCHEMA_KEY: schema,
                    executor.VOCABULARY_KEY: vocabulary,
                    key.RUN_FN_KEY: f"{run_fn.__name__}.run_fn",
                    key.TRAIN_ARGS_KEY: trainer_pb2.TrainArgs(splits=["train"]),
                    run_fn.STEPS_KEY: steps,
                    key.EVAL_ARGS_KEY: trainer_pb2.EvalArgs(splits=["eval"]),
                    key.CUSTOM_CONFIG_KEY: json_utils.dumps(config),
                    **({key.BASE_MODEL_KEY: base_model} if base_model else {}),
                    key.MODEL_KEY: channel.Channel(type=standard_artifacts.Model),
                    key.MODEL_RUN_KEY: channel.Channel(type=standard_artifacts.ModelRun),
                }
            )
        )
