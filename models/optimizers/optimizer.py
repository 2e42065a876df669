"""The base class of optimisers: schedule, clipping, multipliers, decay, and updates of variables in any strategy."""

import functools
from collections.abc import Mapping, Sequence

import tensorflow as tf

from models import settings
from models.optimizers import parameters, schedules

Scalars = Mapping[str, tf.Tensor]
Slots = Mapping[str, tf.Variable]


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

    def direction(self, gradient: tf.Tensor, slots: Slots, scalars: Scalars) -> tf.Tensor:
        """Updates the slots of a variable, and returns the direction of its update, before the learning rate."""
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

    def apply(self, gradients: Sequence[tf.Tensor]) -> tf.Tensor:
        """Makes one step; call it in replica context.

        Args:
          gradients: in the order of the variables; dense, and already summed over the replicas.

        Returns:
          The global norm of the gradients before clipping, float32.
        """
        norm = _global_norm(gradients)
        step = self.step.read_value()
        scalars = {dtype.name: self._all_scalars(step, dtype) for dtype in {v.dtype for v in self.targets}}
        if self._config.clip_norm:
            factor = self._config.clip_norm / tf.maximum(norm, self._config.clip_norm)
            gradients = [gradient * tf.cast(factor, gradient.dtype) for gradient in gradients]
        tf.distribute.get_replica_context().merge_call(self._update_all, args=(tuple(gradients), scalars))
        return tf.cast(norm, tf.float32)

    def _all_scalars(self, step: tf.Tensor, dtype: tf.DType) -> dict[str, tf.Tensor]:
        share = schedules.fraction(self._schedule, self._steps, step, dtype)
        rate = self._config.learning_rate * share
        decay = self._config.weight_decay * (rate if self.decays_with_learning_rate else share)
        return {"rate": rate, "decay": decay, **self.scalars(step, dtype)}

    def _update_all(
        self, strategy: tf.distribute.Strategy, gradients: Sequence[tf.Tensor], scalars: Mapping[str, Scalars]
    ) -> None:
        """Runs in cross-replica context; `update` hands each replica its own part of every argument."""
        for variable, gradient, slots in zip(self.targets, gradients, self._slots, strict=True):
            update = functools.partial(
                self._update,
                multiplier=parameters.multiplier(self._config, variable),
                decays=parameters.decays(self._config, variable),
            )
            args = (gradient, dict(slots), scalars[variable.dtype.name])
            strategy.extended.update(variable, update, args=args, group=False)
        strategy.extended.update(self.step, _increment, group=False)

    def _update(
        self,
        variable: tf.Variable,
        gradient: tf.Tensor,
        slots: Slots,
        scalars: Scalars,
        *,
        multiplier: float,
        decays: bool,
    ) -> None:
        change = scalars["rate"] * self.direction(gradient, slots, scalars)
        if decays and self._config.weight_decay:
            change += scalars["decay"] * variable.read_value()
        variable.assign_sub(multiplier * change)


def _zeros(spec: tf.TensorSpec, name: str) -> tf.Variable:
    start = functools.partial(tf.zeros, spec.shape, spec.dtype)
    return tf.Variable(start, trainable=False, name=name, shape=spec.shape, dtype=spec.dtype)


def _increment(step: tf.Variable) -> None:
    step.assign_add(1)


def _global_norm(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """Computed in the widest dtype among the gradients."""
    dtype = max((gradient.dtype for gradient in gradients), key=lambda dtype: dtype.size)
    return tf.sqrt(tf.add_n([tf.cast(tf.reduce_sum(tf.square(gradient)), dtype) for gradient in gradients]))
