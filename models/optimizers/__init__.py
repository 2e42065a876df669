"""Optimisers. Each class computes the direction of an update; the base class does everything else.

This project has its own optimisers for two reasons. The same code must run in a step that XLA compiles, on mirrored
devices, on several workers and on TPUs; and no TensorFlow library has SigLIP's variant of Adafactor. To add an
optimiser, write a settings class and a module here, and add a line below.
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
    """Creates the optimiser of these settings, and its slots; call it in the strategy's scope.

    Args:
      config: settings of the optimiser; their class selects it.
      schedule: settings of the learning rate's schedule.
      steps: length of the schedule.
      variables: the result of `trainable`; gradients come in the same order.
    """
    return _OPTIMIZERS[type(config)](config, schedule, steps, variables)


def trainable(config: settings.OptimizerSettings, variables: Sequence[tf.Variable]) -> list[tf.Variable]:
    """Returns the variables that no multiplier of 0 freezes.

    Raises:
      ValueError: a pattern of the settings matches no variable, or all variables are frozen.
    """
    parameters.require_matches(config, variables)
    chosen = [variable for variable in variables if parameters.multiplier(config, variable)]
    if not chosen:
        raise ValueError(
            f"{label(config, 'multipliers')} is {config.multipliers!r}, which freezes every variable; "
            "leave one with a factor above 0"
        )
    return chosen
