"""How weights move: one settings class an optimiser, and the schedule all share."""

import dataclasses
import re

from models.settings.checks import (
    label,
    require,
    require_at_least_zero,
    require_fraction,
    require_one_of,
    require_positive,
    settings_class,
)


@settings_class("Schedule")
class ScheduleSettings:
    """The learning rate over the steps, as a share of its peak.

    Attributes:
      kind: what follows the warm-up: "cosine" falls along a half cosine to 0 at the last step, "rsqrt" falls with the
        inverse square root of the step, "constant" stays.
      warmup_steps: steps of the linear rise from 0.
      cooldown_steps: last steps, in which the rate falls linearly to 0 (rsqrt and constant; a cosine is there already).
      timescale: steps after which "rsqrt" has fallen to 1 / sqrt(2); big_vision uses 10,000.
    """

    kind: str = "cosine"
    warmup_steps: int = 100
    cooldown_steps: int = 0
    timescale: int = 10_000

    def __post_init__(self) -> None:
        require_one_of(self, "kind", ("cosine", "rsqrt", "constant"))
        require_positive(self, "timescale")
        require_at_least_zero(self, "warmup_steps", "cooldown_steps")
        require(
            self.kind != "cosine" or not self.cooldown_steps,
            "Schedule.cooldown_steps",
            self.cooldown_steps,
            "0 with a cosine, which ends at 0 by itself",
            "use kind 'rsqrt' or 'constant'",
        )


@settings_class()
class OptimizerSettings:
    """What every optimiser has.

    Attributes:
      learning_rate: the peak of the schedule.
      weight_decay: share of a kernel's value taken off in a step; each optimiser says what it is multiplied by.
      clip_norm: largest global norm of the gradient, after it is summed over replicas; 0 does not clip.
      multipliers: {regular expression: factor on the learning rate}, searched in a variable's name; the first that
        matches counts. 0 freezes the variable: it gets no gradient and no slots.
      no_decay: regular expressions of kernels that do not decay, such as those of a pretrained tower.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    multipliers: dict[str, float] = dataclasses.field(default_factory=dict)
    no_decay: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_positive(self, "learning_rate")
        require_at_least_zero(self, "weight_decay", "clip_norm")
        for name in ("multipliers", "no_decay"):
            for pattern in getattr(self, name):
                require(_compiles(pattern), label(self, name), pattern, "a regular expression", "correct it")
        for pattern, factor in self.multipliers.items():
            require(factor >= 0, f"{label(self, 'multipliers')}[{pattern!r}]", factor, "0 or more", "use 0 to freeze")


@settings_class("AdamW")
class AdamWSettings(OptimizerSettings):
    """AdamW (arXiv 1711.05101); the decay is weight_decay x learning rate.

    Attributes:
      beta_1, beta_2: decay of the two moments; .95 for beta_2 is what keeps large batches stable (SigLIP, section 4.6).
      epsilon: added to the root of the second moment.
    """

    beta_1: float = 0.9
    beta_2: float = 0.95
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        require_fraction(self, "beta_1", "beta_2")
        require_positive(self, "epsilon")


@settings_class("Lion")
class LionSettings(OptimizerSettings):
    """LION (arXiv 2302.06675); the decay is weight_decay x the schedule's share of its peak, as in big_vision.

    Attributes:
      beta_1: weight of the momentum in the update.
      beta_2: decay of the momentum.
      momentum_dtype: "bfloat16" halves the optimiser's memory; "float32" is exact.
    """

    learning_rate: float = 1e-4
    weight_decay: float = 1e-7
    beta_1: float = 0.9
    beta_2: float = 0.99
    momentum_dtype: str = "bfloat16"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_fraction(self, "beta_1", "beta_2")
        _require_dtype(self, "momentum_dtype")


@settings_class("Adafactor")
class AdafactorSettings(OptimizerSettings):
    """big_vision's Adafactor (arXiv 2106.04560, section 3.3): what SigLIP trains with.

    The second moment is factored, the first is kept in bfloat16 and not debiased, and the update is not clipped. The
    decay is weight_decay x the schedule's share of its peak: 1e-4 equals AdamW's 0.1 at a learning rate of 1e-3.

    Attributes:
      beta_1: decay of the first moment.
      beta_2_cap: largest decay of the second moment, which is 1 - step^-decay_rate below it.
      decay_rate: that exponent.
      min_dim_to_factor: a variable is factored if its two largest dimensions are at least this large.
      epsilon: added to the squared gradient.
      momentum_dtype: "bfloat16" or "float32".
    """

    weight_decay: float = 1e-4
    beta_1: float = 0.9
    beta_2_cap: float = 0.95
    decay_rate: float = 0.8
    min_dim_to_factor: int = 32
    epsilon: float = 1e-30
    momentum_dtype: str = "bfloat16"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_fraction(self, "beta_1", "beta_2_cap", "decay_rate")
        require_positive(self, "min_dim_to_factor", "epsilon")
        _require_dtype(self, "momentum_dtype")


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def _require_dtype(settings: OptimizerSettings, name: str) -> None:
    value = getattr(settings, name)
    require(value in ("bfloat16", "float32"), label(settings, name), value, "'bfloat16' or 'float32'", "correct it")
