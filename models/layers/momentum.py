"""A momentum copy: layers whose weights follow those of trained layers (BYOL, arXiv 2006.07733, section 3.1)."""

import math
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
        self._move(self._decay)

    def _move(self, decay: float | tf.Tensor) -> None:
        state.move([(copy, trained.read_value()) for copy, trained in self._both()], decay)

    def _both(self) -> list[tuple[tf.Variable, tf.Variable]]:
        """(copy, trained) of all weights."""
        return [both for trained, copy in self._pairs for both in zip(copy.variables, _weights(trained), strict=True)]


class ScheduledCopy(MomentumCopy):
    """A momentum copy whose decay rises to 1 along half a cosine over a training run (MoCo-v3, arXiv 2104.02057).

    m(s) = 1 - (1 - m_0) (1 + cos(pi s / S)) / 2 in step s of S. The count of steps, s, is part of the state.
    """

    def __init__(self, pairs: Sequence[tuple[keras.layers.Layer, keras.layers.Layer]], decay: float) -> None:
        """See MomentumCopy; `decay` is m_0."""
        super().__init__(pairs, decay)
        self._steps: int | None = None
        self.counter = _Counter(name="momentum_steps")

    def build(self) -> None:
        """Makes the count of steps."""
        with tf.name_scope(self.counter.name):
            self.counter.build()

    def prepare(self, steps: int) -> None:
        """Takes the number of steps of the run, S."""
        self._steps = steps

    @property
    def state(self) -> list[tf.Variable]:
        """The weights of the copies, and the count of steps."""
        return [*self.variables, self.counter.count]

    def decay(self, dtype: tf.DType) -> tf.Tensor:
        """The decay m of the step that comes next; RuntimeError before `prepare`."""
        if self._steps is None:
            raise RuntimeError(
                "the decay of the momentum copy depends on the number of steps, which it was not told; give "
                "models.objectives.create a Run"
            )
        share = tf.cast(tf.minimum(self.counter.count.read_value(), self._steps), dtype) / max(self._steps, 1)
        return 1.0 - (1.0 - self._decay) * 0.5 * (1.0 + tf.cos(math.pi * share))

    def move(self) -> None:
        """Moves each copy by the decay of this step, and counts the step; call it in replica context."""
        self._move(self.decay(self.variables[0].dtype))
        state.assign([(self.counter.count, self.counter.count.read_value() + 1)])


class _Counter(keras.layers.Layer):
    """One number, int32."""

    def build(self, input_shape: object = None) -> None:
        self.count = self.add_weight("count", (), tf.int32, "zeros", trainable=False)
        super().build(input_shape)


def _weights(layer: keras.layers.Layer) -> list[tf.Variable]:
    """All weights of a layer, also of one that is locked, without its running statistics."""
    statistics = {id(variable) for variable in getattr(layer, "state", ())}
    return [variable for variable in layer.variables if id(variable) not in statistics]
