"""How weights move: one class an optimiser, which gives the direction; the base class does all they share.

They are ours, not Keras's: one code must run inside a step that XLA compiles, on mirrored devices, on several workers
and on TPUs, and SigLIP's variant of Adafactor is in no TensorFlow library. A new one is a settings class, a module
here, and a line below.
"""

from collections.abc import Sequence

import tensorflow as tf

from models import settings
from models.optimizers import parameters
from models.optimizers.adafactor import Adafactor
from models.optimizers.adamw import AdamW
from models.optimizers.lion import Lion
from models.optimizers.optimizer import Optimizer
from models.settings.checks import label

__all__ = ["Optimizer", "create", "trainable"]

_OPTIMIZERS: dict[type[settings.OptimizerSettings], type[Optimizer]] = {
    settings.AdafactorSettings: Adafactor,
    settings.AdamWSettings: AdamW,
    settings.LionSettings: Lion,
}


def create(
    config: settings.OptimizerSettings,
    schedule: settings.ScheduleSettings,
    steps: int,
    variables: Sequence[tf.Variable],
) -> Optimizer:
    """Makes the optimiser that the settings belong to, and its slots; call it in the scope of the strategy.

    Args:
      config: its class says which optimiser.
      schedule: of the learning rate.
      steps: length of the schedule.
      variables: what `trainable` gave, in the order of the gradients to come.
    """
    return _OPTIMIZERS[type(config)](config, schedule, steps, variables)


def trainable(config: settings.OptimizerSettings, variables: Sequence[tf.Variable]) -> list[tf.Variable]:
    """Those of all variables that are not frozen by a multiplier of 0.

    Raises:
      ValueError: a pattern of the settings matches none of the variables, or all variables are frozen.
    """
    parameters.require_matches(config, variables)
    chosen = [variable for variable in variables if parameters.multiplier(config, variable)]
    if not chosen:
        raise ValueError(
            f"{label(config, 'multipliers')} is {config.multipliers!r}, which freezes every variable; "
            "leave one with a factor above 0"
        )
    return chosen
