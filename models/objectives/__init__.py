"""Training objectives: the one extension point. A new one is a settings class, a module here, and a line below."""

import tf_keras as keras

from models import settings
from models.objectives.objective import Objective
from models.objectives.siglip import Siglip
from models.objectives.softmax import Softmax

__all__ = ["Objective", "create"]

_OBJECTIVES = {settings.SiglipSettings: Siglip, settings.SoftmaxSettings: Softmax}


def create(
    config: settings.ObjectiveSettings, vocabulary_size: int, runtime: settings.RuntimeSettings | None = None
) -> Objective:
    """Makes the objective that the settings belong to, with all its variables; call it in the strategy's scope."""
    runtime = runtime or settings.RuntimeSettings()
    usual = keras.mixed_precision.global_policy()
    mixed = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
    keras.mixed_precision.set_global_policy(mixed[runtime.compute_dtype])
    try:
        objective = _OBJECTIVES[type(config)](config, vocabulary_size, runtime.remat)
        objective.build()
    finally:
        keras.mixed_precision.set_global_policy(usual)
    return objective
