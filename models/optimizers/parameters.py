"""Applies the patterns of the settings to the name of a variable."""

import re
from collections.abc import Sequence

import tensorflow as tf

from models import settings
from models.settings.checks import label

_NAMES_SHOWN = 5


def name(variable: tf.Variable) -> str:
    """The variable's path, without TensorFlow's ":0"."""
    return str(variable.name).split(":")[0]


def is_kernel(variable: tf.Variable) -> bool:
    """Whether the variable is a matrix of a dense, convolution or attention layer, not an embedding, norm or bias."""
    return name(variable).split("/")[-1] == "kernel"


def multiplier(config: settings.OptimizerSettings, variable: tf.Variable) -> float:
    """The factor on the variable's learning rate, from the first pattern that matches its name; 1 if none does."""
    found = (factor for pattern, factor in config.multipliers.items() if re.search(pattern, name(variable)))
    return float(next(found, 1.0))


def decays(config: settings.OptimizerSettings, variable: tf.Variable) -> bool:
    """Whether weight decay applies: the variable is a kernel, and no pattern excludes it."""
    return is_kernel(variable) and not any(re.search(pattern, name(variable)) for pattern in config.no_decay)


def require_matches(config: settings.OptimizerSettings, variables: Sequence[tf.Variable]) -> None:
    """Raises ValueError if a pattern matches no variable's name; such a pattern would silently do nothing."""
    names = [name(variable) for variable in variables]
    for setting in ("multipliers", "no_decay"):
        for pattern in getattr(config, setting):
            if not any(re.search(pattern, each) for each in names):
                rest = len(names) - _NAMES_SHOWN
                shown = ", ".join(names[:_NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
                raise ValueError(
                    f"{label(config, setting)} has {pattern!r}, which matches none of the {len(names)} variables: "
                    f"{shown}; correct the pattern or remove it"
                )
