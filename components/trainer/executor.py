"""The Trainer's work: TFX's generic executor, told where the vocabulary is."""

import os
from typing import Any

from tfx import types
from tfx.components.trainer import executor
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.types import artifact_utils

from components.vocabulary_trainer.executor import MODEL_FILE, VOCABULARY_KEY
from models import run_fn

__all__ = ["VOCABULARY_KEY", "Executor"]


class Executor(executor.GenericExecutor):
    """Adds the vocabulary's path to the run function's `custom_config`."""

    def _GetFnArgs(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> FnArgs:
        fn_args = super()._GetFnArgs(input_dict, output_dict, exec_properties)
        folder = artifact_utils.get_single_uri(input_dict[VOCABULARY_KEY])
        fn_args.custom_config[run_fn.VOCABULARY_KEY] = os.path.join(folder, MODEL_FILE)
        return fn_args
