"""Settings of the optimisers, one class each, and of the schedule that all of them use."""

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
    """The learning rate at each step, as a share of its peak (the optimiser's learning_rate).

    Attributes:
      kind: shape after the warm-up. "cosine" falls along a half cosine to `final_share` at the last step. "rsqrt" falls
        with the inverse square root of the step, and "constant" stays; use these if you do not know yet how long to
        train.
      warmup_steps: number of first steps, in which the rate rises linearly from 0. 0 starts at the peak. Raise it if
        the loss explodes early.
      cooldown_steps: number of last steps, in which the rate falls linearly to 0. 0 has no cooldown. "cosine" allows
        only 0, because it ends at 0 anyway.
      timescale: steps after the warm-up until "rsqrt" has fallen to 1 / sqrt(2). big_vision uses 10,000; the other
        kinds ignore it.
      final_share: share of the peak at which "cosine" ends. 0 ends at 0; the other kinds allow only 0.
    """

    kind: str = "cosine"
    warmup_steps: int = 100
    cooldown_steps: int = 0
    timescale: int = 10_000
    final_share: float = 0.0

    def __post_init__(self) -> None:
        require_one_of(self, "kind", ("cosine", "rsqrt", "constant"))
        require_fraction(self, "final_share")
        require(
            self.kind == "cosine" or not self.final_share,
            "Schedule.final_share",
            self.final_share,
            f"0 for kind {self.kind!r}, which has no end",
            "use kind 'cosine', or cooldown_steps",
        )
        require_positive(self, "timescale")
        require_at_least_zero(self, "warmup_steps", "cooldown_steps")
        require(
            self.kind != "cosine" or not self.cooldown_steps,
            "Schedule.cooldown_steps",
            self.cooldown_steps,
            "0 for kind 'cosine', which ends at 0 by itself",
            "use kind 'rsqrt' or 'constant'",
        )


@settings_class()
class OptimizerSettings:
    """Settings that all optimisers share.

    Attributes:
      learning_rate: peak of the schedule. Lower it (to a tenth, say) for pretrained weights, or if the loss explodes.
      weight_decay: share of a kernel's value that a step subtracts, times a factor that each optimiser's class names. 0
        switches decay off. Other variables than kernels never decay.
      clip_norm: largest global norm of the gradient, after the sum over replicas. 0 does not clip.
      multipliers: {regular expression: factor on the learning rate}; the first expression found in a variable's name
        counts. Factor 0 freezes the variable: it gets no gradient and no slots. {} leaves all rates alone.
      no_decay: regular expressions; kernels with one of them in their name do not decay, such as those of a pretrained
        tower. () exempts none.
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
    """AdamW (arXiv 1711.05101). The decay is weight_decay x learning rate.

    Attributes:
      beta_1: decay of the first moment.
      beta_2: decay of the second moment. .95 keeps training with large batches stable (SigLIP, section 4.6); .999 is
        common elsewhere.
      epsilon: number added to the root of the second moment, against division by 0.
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
    """LION (arXiv 2302.06675). The decay is weight_decay x the schedule's share of its peak, as in big_vision.

    Attributes:
      beta_1: weight of the momentum in the update.
      beta_2: decay of the momentum.
      momentum_dtype: dtype of the momentum. "bfloat16" halves the optimiser's memory; "float32" is exact.
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
    """big_vision's Adafactor (arXiv 2106.04560, section 3.3), the optimiser of SigLIP.

    It factors the second moment, does not debias the first, and does not clip the update. The decay is weight_decay x
    the schedule's share of its peak: 1e-4 equals AdamW's 0.1 at a learning rate of 1e-3.

    Attributes:
      beta_1: decay of the first moment.
      beta_2_cap: largest decay of the second moment; until it is reached, the decay is 1 - step^-decay_rate.
      decay_rate: exponent of that formula.
      min_dim_to_factor: the optimiser factors a variable if its two largest dimensions are at least this large.
      epsilon: number added to the squared gradient, against division by 0.
      momentum_dtype: dtype of the first moment. "bfloat16" takes half the memory of "float32".
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
