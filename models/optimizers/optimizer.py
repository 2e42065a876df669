"""The base class of optimisers: schedule, clipping, multipliers, decay, and updates of variables in any strategy."""

import functools
from collections.abc import Mapping, Sequence

import tensorflow as tf

from models import settings
from models.compilation import part
from models.optimizers import parameters, schedules

Scalars = Mapping[str, tf.Tensor]
Slots = Mapping[str, tf.Tensor]


class Optimizer(tf.Module):
    """Moves variables against the direction that a subclass computes.

    A step is w <- w - multiplier * (learning rate * direction + decay * w). The right side uses the old w, and decay
    applies to kernels only. Everything, the schedule included, is computed in the variable's own dtype.

    Attributes:
      step: int64, the number of updates so far.
      targets: the variables it moves, in the order of the gradients.
      decays_with_learning_rate: whether decay is weight_decay * learning rate; otherwise it is weight_decay * the
        schedule's fraction of its peak.
    """

    decays_with_learning_rate = False

    def __init__(
        self,
        config: settings.OptimizerSettings,
        schedule: settings.ScheduleSettings,
        steps: int,
        variables: Sequence[tf.Variable],
    ) -> None:
        """Creates the slots; call it in the scope of the variables' strategy.

        Raises:
          ValueError: two variables have the same name, so that a checkpoint could not tell them apart.
        """
        super().__init__(name="optimizer")
        self._config, self._schedule, self._steps = config, schedule, steps
        self._moved = part(self._move)
        self.targets = tuple(variables)
        names = [parameters.name(variable) for variable in variables]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"Several variables are named {', '.join(twice)}; give their layers distinct names")
        self.step = tf.Variable(0, trainable=False, dtype=tf.int64, name="step")
        self._slots = tuple(
            {slot: _zeros(spec, f"{slot}/{name}") for slot, spec in self.slots(variable).items()}
            for name, variable in zip(names, variables, strict=True)
        )

    def slots(self, variable: tf.Variable) -> dict[str, tf.TensorSpec]:
        """The state that the algorithm keeps for a variable, {slot: spec}; it starts at 0."""
        raise NotImplementedError

    def scalars(self, step: tf.Tensor, dtype: tf.DType) -> dict[str, tf.Tensor]:
        """Numbers of a step that are the same for all variables of a dtype."""
        raise NotImplementedError

    def direction(self, gradient: tf.Tensor, slots: Slots, scalars: Scalars) -> tuple[tf.Tensor, Slots]:
        """Returns the direction of a variable's update, before the learning rate, and the new values of its slots."""
        raise NotImplementedError

    def state(self) -> dict[str, tf.Variable]:
        """All that a checkpoint stores, by stable names: "step", and "<slot>/<variable>"."""
        state = {"step": self.step}
        for variable, slots in zip(self.targets, self._slots, strict=True):
            state |= {f"{slot}/{parameters.name(variable)}": value for slot, value in slots.items()}
        return state

    def learning_rate(self) -> tf.Tensor:
        """The learning rate of the next update, float32, before any multiplier."""
        return schedules.learning_rate(self._schedule, self._config.learning_rate, self._steps, self.step.read_value())

    def apply(self, gradients: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Makes one step; call it in replica context.

        Args:
          gradients: in the order of the variables; dense, and already summed over the replicas.

        Returns:
          The squared norm of each gradient before clipping, and of what the step subtracts from each variable. Both
          are [number of variables], in the widest dtype among them.
        """
        squares = square_norms(gradients)
        norm = tf.sqrt(tf.reduce_sum(squares))
        step = self.step.read_value()
        scalars = {dtype.name: self._all_scalars(step, norm, dtype) for dtype in {v.dtype for v in self.targets}}
        context = tf.distribute.get_replica_context()
        updates = context.merge_call(self._update_all, args=(tuple(gradients), scalars))
        return squares, tf.stack([tf.cast(update, squares.dtype) for update in updates])

    def _all_scalars(self, step: tf.Tensor, norm: tf.Tensor, dtype: tf.DType) -> dict[str, tf.Tensor]:
        share = schedules.fraction(self._schedule, self._steps, step, dtype)
        rate = self._config.learning_rate * share
        decay = self._config.weight_decay * (rate if self.decays_with_learning_rate else share)
        most = self._config.clip_norm
        clip = tf.cast(most / tf.maximum(norm, most), dtype) if most else tf.ones([], dtype)
        return {"rate": rate, "decay": decay, "clip": clip, **self.scalars(step, dtype)}

    def _update_all(
        self, strategy: tf.distribute.Strategy, gradients: Sequence[tf.Tensor], scalars: Mapping[str, Scalars]
    ) -> list[tf.Tensor]:
        """Runs in cross-replica context; `update` hands each replica its own part of every argument.

        Returns:
          What `_update` returns, of each variable.
        """
        squares = []
        for variable, gradient, slots in zip(self.targets, gradients, self._slots, strict=True):
            update = functools.partial(
                self._update,
                multiplier=parameters.multiplier(self._config, variable),
                decays=parameters.decays(self._config, variable),
            )
            args = (gradient, dict(slots), scalars[variable.dtype.name])
            squares.append(strategy.extended.update(variable, update, args=args))
        strategy.extended.update(self.step, _increment, group=False)
        return squares

    def _update(
        self,
        variable: tf.Variable,
        gradient: tf.Tensor,
        slots: Mapping[str, tf.Variable],
        scalars: Scalars,
        *,
        multiplier: float,
        decays: bool,
    ) -> tf.Tensor:
        """Moves a variable; returns the squared norm of what is subtracted from it."""
        values = {name: slot.read_value() for name, slot in slots.items()}
        weights = variable.read_value()
        moved, new = self._moved(weights, gradient, values, scalars, multiplier, decays)
        for name, slot in slots.items():
            slot.assign(new[name])
        variable.assign(moved)
        return 2.0 * tf.nn.l2_loss(weights - moved)

    def _move(
        self,
        weights: tf.Tensor,
        gradient: tf.Tensor,
        slots: Slots,
        scalars: Scalars,
        multiplier: float,
        decays: bool,
    ) -> tuple[tf.Tensor, Slots]:
        """The new weights and the new values of the slots."""
        direction, new = self.direction(gradient * scalars["clip"], slots, scalars)
        change = scalars["rate"] * direction
        if decays and self._config.weight_decay:
            change += scalars["decay"] * weights
        return weights - multiplier * change, new


def _zeros(spec: tf.TensorSpec, name: str) -> tf.Variable:
    start = functools.partial(tf.zeros, spec.shape, spec.dtype)
    return tf.Variable(start, trainable=False, name=name, shape=spec.shape, dtype=spec.dtype)


def _increment(step: tf.Variable) -> None:
    step.assign_add(1)


def square_norms(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """The squared norm of each tensor, [number of tensors], in the widest dtype among them."""
    dtype = max((tensor.dtype for tensor in tensors), key=lambda dtype: dtype.size)
    return tf.stack([tf.cast(2.0 * tf.nn.l2_loss(tensor), dtype) for tensor in tensors])
