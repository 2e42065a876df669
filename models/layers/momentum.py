"""A momentum copy: layers whose weights follow those of trained layers (BYOL, arXiv 2006.07733, section 3.1)."""

from collections.abc import Sequence

import tensorflow as tf
import tf_keras as keras

from models.distribution import state


class MomentumCopy:
    """Pairs of a trained layer and its copy; moves only weights, not the running statistics of batch normalisation.

    The copies get no gradient: pass their outputs through tf.stop_gradient.
    """

    def __init__(self, pairs: Sequence[tuple[keras.layers.Layer, keras.layers.Layer]], decay: float) -> None:
        """Makes the copies untrainable, so that no optimiser moves them.

        Args:
          pairs: (trained layer, copy of the same structure); both may still lack their variables.
          decay: share of the copy that stays in a move.
        """
        self._pairs, self._decay = tuple(pairs), decay
        for _, copy in pairs:
            copy.trainable = False

    @property
    def variables(self) -> list[tf.Variable]:
        """The weights of the copies; an objective counts them to its state."""
        return [copy for copy, _ in self._both()]

    def start(self) -> None:
        """Sets the copies to the trained weights; call it outside of steps."""
        for copy, trained in self._both():
            copy.assign(trained)

    def move(self) -> None:
        """Moves each copy to decay * copy + (1 - decay) * trained weight; call it in replica context."""
        state.move([(copy, trained.read_value()) for copy, trained in self._both()], self._decay)

    def _both(self) -> list[tuple[tf.Variable, tf.Variable]]:
        """(copy, trained) of all weights."""
        return [both for trained, copy in self._pairs for both in zip(copy.variables, _weights(trained), strict=True)]


def _weights(layer: keras.layers.Layer) -> list[tf.Variable]:
    """All weights of a layer, also of one that is locked, without its running statistics."""
    statistics = {id(variable) for variable in getattr(layer, "state", ())}
    return [variable for variable in layer.variables if id(variable) not in statistics]
