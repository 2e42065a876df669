"""What the objectives here share, whatever their towers: an objective is a layer that holds variables."""

from collections.abc import Mapping

import tensorflow as tf
import tf_keras as keras

from models.distribution.collectives import Collectives
from models.objectives.objective import Encoded, ScoredRows
from models.objectives.signatures import Signature
from models.objectives.training_only import TrainingOnly


class ObjectiveLayer(keras.layers.Layer):
    """A layer with the parts of the protocol `Objective` that most objectives leave empty."""

    finishes = False
    training_only = TrainingOnly()

    @property
    def variables(self) -> list[tf.Variable]:
        return [*super().variables, *self.training_only.variables]

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        return [*super().trainable_variables, *self.training_only.trainable_variables]

    @property
    def state(self) -> list[tf.Variable]:
        return []

    def start(self) -> None:
        """Does nothing: there is no state."""

    def after_update(self, encoded: Encoded, collectives: Collectives) -> None:
        """Does nothing: there is no state."""

    def finish(self, held_out: ScoredRows) -> dict[str, float]:
        """Chooses nothing."""
        return {}

    def signatures(self) -> Mapping[str, Signature]:
        """No further ones."""
        return {}

    def scalar(self, name: str, value: float) -> tf.Variable:
        """A learned scalar that starts at `value`, float32 as all weights."""
        return self.add_weight(name, shape=(), initializer=keras.initializers.Constant(value))
