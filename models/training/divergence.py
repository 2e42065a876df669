"""A step that diverges ends training; the message names the step, the part of it and the fix."""

import dataclasses

from models import settings
from models.settings.checks import label
from models.training.checkpoints import Checkpoints
from models.training.step import LOSS_PART


class Diverged(FloatingPointError):
    """A loss, gradient or weight is not finite, or the loss is too large; nothing is exported.

    Attributes:
      step: the step that diverged, from 0.
    """

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


@dataclasses.dataclass(frozen=True)
class Fault:
    """The first step of a call to the devices that diverged.

    Attributes:
      offset: number of the step in its call, from 0.
      part: index of the part of the step that is not finite (TrainStep.parts).
      name: that part in words.
      loss: loss of that step.
    """

    offset: int
    part: int
    name: str
    loss: float


def diverged(fault: Fault, done: int, config: settings.TrainingSettings, checkpoints: Checkpoints) -> Diverged:
    """Makes the error that ends the run.

    Args:
      fault: the step that diverged.
      done: steps that were done before the call.
      config: settings of the run; the message names those that help.
      checkpoints: of the run, with nothing being written; the message names the last one.
    """
    step, loss, steps = done + fault.offset, fault.loss, checkpoints.steps
    what = f"{fault.name} is not finite"
    if fault.part == LOSS_PART:
        exploded = f"has exploded: it is above Training.max_loss ({config.max_loss:g})"
        what = f"{fault.name} {exploded if loss == loss else 'is NaN'}"
    last_good = f"of step {steps[-1]}, in {checkpoints.folder}" if steps else "none"
    return Diverged(
        f"{what} at step {step}, so training stops and nothing is exported (loss {loss:g}; last good checkpoint: "
        f"{last_good}); lower {label(config.optimizer, 'learning_rate')}, or raise Schedule.warmup_steps",
        step,
    )
