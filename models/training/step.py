"""One training step, as every replica runs it.

`DeviceLoop` (device_loop.py) calls `TrainStep` on every replica. The step calls gradients.py, which encodes the
replica's rows and calls `Objective.loss`, a comparison with the rows of all replicas. The step then sums loss and
gradients over the replicas, and the optimiser moves the weights.
"""

from collections.abc import Callable

import tensorflow as tf

from models import settings
from models.distribution.collectives import Collectives
from models.inputs import row_views
from models.inputs.row_views import CLASS_IDS
from models.objectives import Objective
from models.objectives.objective import CARRIED, Batch, Encoded, Metrics
from models.optimizers import Optimizer, parameters
from models.optimizers.optimizer import square_norms
from models.training import false_negatives, gradients

BAD_PART = "bad_part"
LOSS_PART = 0
HEALTHY = -1


class TrainStep:
    """A function of this replica's rows, called in replica context; returns the same scalars on every replica."""

    def __init__(
        self,
        objective: Objective,
        optimizer: Optimizer,
        collectives: Collectives,
        config: settings.TrainingSettings,
        compile_towers: bool = False,
        corrupt: Callable[[Batch], Batch] | None = None,
    ) -> None:
        """Makes the step; nothing runs.

        Args:
          objective: has made its variables.
          optimizer: of the variables to train.
          collectives: of the strategy that will run the step.
          config: batch size, micro-batches and largest loss.
          compile_towers: whether XLA compiles the towers alone, because it cannot compile the whole step.
          corrupt: makes some rows of a batch wrong (corruption.py); None leaves them as they are.

        Raises:
          ValueError: the batch size is no multiple of replicas x micro-batches.
        """
        shares = collectives.num_replicas * config.micro_batches
        if config.batch_size % shares:
            raise ValueError(
                f"Training.batch_size is {config.batch_size}, but must be a multiple of {shares}: "
                f"{collectives.num_replicas} replicas x {config.micro_batches} micro-batches; "
                f"try {max(1, config.batch_size // shares) * shares}"
            )
        self._objective, self._optimizer, self._collectives, self._config = objective, optimizer, collectives, config
        self._corrupt = corrupt
        self._encode = (
            tf.function(self._encode_views, jit_compile=True, autograph=False) if compile_towers else self._encode_views
        )

    @property
    def rows(self) -> int:
        """Pairs of a step on each replica, b."""
        return self._config.batch_size // self._collectives.num_replicas

    @property
    def parts(self) -> list[str]:
        """Names of the parts of a step that can become non-finite; BAD_PART of the result is an index into them."""
        names = map(parameters.name, self._optimizer.targets)
        return ["the loss", *(f"the gradient of {name}" for name in names), "the norm of the weights after the step"]

    def __call__(self, batch: Batch) -> Metrics:
        """Updates the weights.

        Args:
          batch: what models.inputs.batches reads, without POSITION, each [b, ...].

        Returns:
          Scalars of the whole batch: the objective's metrics, `loss`, `learning_rate`, `gradient_norm` (before
          clipping), `update_norm` (of what the optimiser subtracted), `weight_norm` (after the update),
          `false_negatives` where the batch has CLASS_IDS, and BAD_PART, int32: the first of `parts` that is not finite,
          or -1. A loss above Training.max_loss counts as not finite, and so does a gradient whose norm is above the
          dtype's largest number.
        """
        variables = self._optimizer.targets
        batch = {name: tf.ensure_shape(value, [self.rows, *value.shape[1:]]) for name, value in batch.items()}
        class_ids = batch.pop(CLASS_IDS, None)
        if self._corrupt:
            batch = self._corrupt(batch)
        arguments = (self._objective, self._encode, batch, variables, self._collectives)
        if self._config.micro_batches == 1:
            share, metrics, shares, encoded = gradients.of_batch(*arguments)
        else:
            share, metrics, shares, encoded = gradients.of_micro_batches(*arguments, self._config.micro_batches)
        loss, *summed = self._collectives.all_reduce([share, *shares])
        learning_rate = self._optimizer.learning_rate()
        squares, updates = self._optimizer.apply(summed)
        carried = {name: metrics.pop(name) for name in list(metrics) if name.startswith(CARRIED)}
        self._objective.after_update({**encoded, **carried}, self._collectives)
        # The norm is taken after the update, so that no checkpoint holds weights that have just overflowed.
        weight_norm = tf.sqrt(tf.reduce_sum(square_norms([variable.read_value() for variable in variables])))
        if class_ids is not None:
            metrics["false_negatives"] = false_negatives.per_row(class_ids, self._collectives)
        return {
            "loss": loss,
            "learning_rate": learning_rate,
            "gradient_norm": tf.cast(tf.sqrt(tf.reduce_sum(squares)), tf.float32),
            "update_norm": tf.cast(tf.sqrt(tf.reduce_sum(updates)), tf.float32),
            "weight_norm": weight_norm,
            **metrics,
            BAD_PART: self._bad_part(loss, squares, weight_norm),
        }

    def _encode_views(self, batch: Batch) -> Encoded:
        """Crops and recolours the pictures, with pixels in [-1, 1], and encodes the rows."""
        size = self._config.objective.image_input.size
        pictures = {view: row_views.picture(batch, view, size) for view in self._objective.views.images}
        return self._objective.encode({**batch, **pictures})

    def _bad_part(self, loss: tf.Tensor, squares: tf.Tensor, weight_norm: tf.Tensor) -> tf.Tensor:
        fine = [loss[None] <= self._config.max_loss]  # also false for NaN
        fine += [tf.math.is_finite(squares), tf.math.is_finite(weight_norm)[None]]
        broken = tf.logical_not(tf.concat(fine, axis=0))
        first = tf.argmax(tf.cast(broken, tf.int32), output_type=tf.int32)
        return tf.where(tf.reduce_any(broken), first, HEALTHY)
