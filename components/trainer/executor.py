"""The Trainer's work: TFX's generic executor, which also receives the vocabulary's path and the number of steps."""

import os
from typing import Any

from tfx.components.trainer import executor
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.types import artifact_utils, standard_component_specs

from components.declaration import Artifacts
from components.model_resolver.executor import present
from components.vocabulary_trainer.executor import MODEL_FILE
from models import run_fn
from models.layers.visual_codes import CODEBOOK_FILE
from models.training.interruption import Interrupted

PREEMPTED = 143
"""Exit code of a trainer that stops early so that another process continues: 128 + SIGTERM, as in a shell."""


class Executor(executor.GenericExecutor):
    """Adds the paths of vocabulary and codebook and the steps to the run function's `custom_config`."""

    def _GetFnArgs(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> FnArgs:
        inputs = present(input_dict, standard_component_specs.BASE_MODEL_KEY)
        fn_args = super()._GetFnArgs(inputs, output_dict, exec_properties)
        folder = artifact_utils.get_single_uri(input_dict["vocabulary"])
        fn_args.custom_config[run_fn.VOCABULARY_KEY] = os.path.join(folder, MODEL_FILE)
        if codebooks := input_dict.get("visual_codebook"):
            uri = artifact_utils.get_single_uri(codebooks)
            fn_args.custom_config[run_fn.CODEBOOK_KEY] = os.path.join(uri, CODEBOOK_FILE)
        fn_args.custom_config[run_fn.STEPS_KEY] = exec_properties[run_fn.STEPS_KEY]
        return fn_args


class RestartedExecutor(Executor):
    """The executor on a platform that restarts preempted tasks, where exit code 0 would mean that training is done."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        try:
            super().Do(input_dict, output_dict, exec_properties)
        except Interrupted as interrupted:
            raise SystemExit(interrupted.code or PREEMPTED) from interrupted
