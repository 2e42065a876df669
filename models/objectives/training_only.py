"""Keeps what only training needs, such as predictors and momentum copies, out of the exported model."""

from collections.abc import Sequence
from typing import Any, Protocol

import tensorflow as tf


class HoldsVariables(Protocol):
    """A layer, or anything else that holds variables."""

    @property
    def variables(self) -> Sequence[tf.Variable]: ...

    @property
    def trainable_variables(self) -> Sequence[tf.Variable]: ...


class TrainingOnly:
    """Parts of an objective that only training needs.

    They are trained and checkpointed, but not exported: `models.serving` leaves their variables out, and a model that
    is rebuilt from its export does not miss them. Keras finds layers in the attributes of a layer; it does not look
    into this class, nor does compression.
    """

    def __init__(self, parts: Sequence[HoldsVariables] = ()) -> None:
        self.parts = tuple(parts)

    @property
    def variables(self) -> list[tf.Variable]:
        """All variables of the parts."""
        return [variable for part in self.parts for variable in part.variables]

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """Variables of the parts that the optimiser updates."""
        return [variable for part in self.parts for variable in part.trainable_variables]


def exported_variables(objective: Any) -> list[tf.Variable]:
    """The variables of an Objective that its exported model has: all but those of `training_only`."""
    left_out = {variable.ref() for variable in objective.training_only.variables}
    return [variable for variable in objective.variables if variable.ref() not in left_out]
