"""Compares losses on N logical CPUs with a dense float64 reference.

A script, since devices must be set before TensorFlow starts.

python -m tests.models.distribution.ring_on_devices N sigmoid    (or softmax)

prints one JSON object: {case: largest error of each gradient}.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from tensorflow.python.distribute import values

from models import settings
from models.distribution import collectives, strategies
from models.losses import sigmoid, softmax
from tests.dense_losses import dense_sigmoid_loss, dense_softmax_loss
from tests.devices import make_devices

ROWS, DIM = 5, 7
LOG_SCALE, BIAS = np.log(7.0), np.float64(-3.0)
NAMES = ("x", "y", "log_scale", "bias", "loss")


class _Counted(collectives.Mirrored):
    """Counts the 2 N - 1 permutes of a pass: texts and gradient alternate, and the gradient is last."""

    calls = 0

    def turn(self) -> int:
        self.calls += 1  # each of the N replicas calls it in turn
        return (self.calls - 1) // self.num_replicas

    @property
    def last(self) -> int:
        return 2 * self.num_replicas - 2


class Reversed(_Counted):
    """Control: the gradient of the texts goes round the ring in the wrong direction."""

    def permute(self, tensor: tf.Tensor) -> tf.Tensor:
        turn = self.turn()
        for _ in range(self.num_replicas - 1 if turn % 2 == 1 or turn == self.last else 1):
            tensor = super().permute(tensor)
        return tensor


class MissingHop(_Counted):
    """Control: the last hop, which brings the gradient back to its replica, is missing."""

    def permute(self, tensor: tf.Tensor) -> tf.Tensor:
        return tensor if self.turn() == self.last else super().permute(tensor)


class Gathered(collectives.Mirrored):
    """The form that several workers use."""

    form = "gathered"


def embeddings(replicas: int) -> tuple[np.ndarray, np.ndarray]:
    rows = np.random.default_rng(0).normal(size=(2, replicas * ROWS, DIM))
    return tuple(rows / np.linalg.norm(rows, axis=2, keepdims=True))


def reference(loss: Callable[..., tf.Tensor], replicas: int) -> dict[str, np.ndarray]:
    inputs = [tf.constant(value) for value in (*embeddings(replicas), LOG_SCALE, BIAS)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = loss(*inputs)
    found = [*tape.gradient(total, inputs), total]
    return {name: value.numpy() for name, value in zip(NAMES, found, strict=True)}


def on_devices(
    loss: Callable[..., tf.Tensor], strategy: tf.distribute.Strategy, collectives: collectives.Collectives
) -> dict[str, np.ndarray]:
    """Loss and gradients; the gradients of the scalars are summed over replicas, as in training."""
    replicas = collectives.num_replicas

    def step(x: tf.Tensor, y: tf.Tensor) -> list[tf.Tensor]:
        log_scale, bias = tf.constant(LOG_SCALE), tf.constant(BIAS)
        with tf.GradientTape() as tape:
            tape.watch([x, y, log_scale, bias])
            share = loss(x, y, log_scale, bias, collectives)
        by_x, by_y, *scalars = tape.gradient(share, [x, y, log_scale, bias])
        return [by_x, by_y, *collectives.all_reduce([*scalars, share])]

    def per_replica(rows: np.ndarray) -> tf.Tensor | values.PerReplica:
        parts = [tf.constant(part) for part in np.split(rows, replicas)]
        return values.PerReplica(parts) if replicas > 1 else parts[0]

    run = tf.function(lambda x, y: strategy.run(step, args=(x, y)), autograph=False)
    by_x, by_y, *scalars = run(*(per_replica(rows) for rows in embeddings(replicas)))

    def local(value: tf.Tensor) -> Sequence[np.ndarray]:
        return [part.numpy() for part in strategy.experimental_local_results(value)]

    rows = [np.concatenate(local(value)) for value in (by_x, by_y)]
    return dict(zip(NAMES, [*rows, *(local(value)[0] for value in scalars)], strict=True))


def errors(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(np.abs(found[name] - expected[name]).max()) for name in NAMES}


def softmax_with_bias(
    x: tf.Tensor, y: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor, collectives: object
) -> tf.Tensor:
    return softmax.softmax_loss(x, y, log_scale, collectives) + 0 * bias


def smoothed(
    x: tf.Tensor, y: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor, collectives: object = None
) -> tf.Tensor:
    return softmax.softmax_loss(x, y, log_scale, collectives, label_smoothing=0.1) + 0 * bias


def one_way_smoothed(
    x: tf.Tensor, y: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor, collectives: object = None
) -> tf.Tensor:
    return softmax.one_way_softmax_loss(x, y, log_scale, collectives, label_smoothing=0.1) + 0 * bias


def one_way_soft_queue(
    x: tf.Tensor, y: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor, collectives: object = None
) -> tf.Tensor:
    """Each replica has its own rows of the targets, and all have the same queue."""
    replicas = collectives.num_replicas if collectives else 1
    rng, rows = np.random.default_rng(2), x.shape[0] * replicas
    targets = rng.uniform(size=(replicas, x.shape[0], rows + 3)) ** 3
    own = tf.constant(targets / targets.sum(axis=-1, keepdims=True))[collectives.replica_id() if collectives else 0]
    queue = tf.constant(rng.normal(size=(3, DIM)))
    return softmax.one_way_softmax_loss(x, y, log_scale, collectives, targets=own, queue=queue) + 0 * bias


def smoothed_by_local_b(
    x: tf.Tensor, y: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor, collectives: object
) -> tf.Tensor:
    """Control: e / b in place of e / |B|, over the rows of one replica."""
    plain = softmax.softmax_loss(x, y, log_scale, collectives)
    inner = softmax.softmax_loss(x, y, log_scale, None, 0.1) - softmax.softmax_loss(x, y, log_scale)
    return plain + inner / collectives.num_replicas + 0 * bias


def scaled(factor: float) -> Callable[..., tf.Tensor]:
    """Control: the loss is divided by a number other than |B|."""

    def loss(*arguments: object) -> tf.Tensor:
        return sigmoid.sigmoid_loss(*arguments) * factor

    return loss


def made_devices(replicas: int) -> strategies.Distribution:
    """Logical CPUs; call it before TensorFlow initialises its devices."""
    make_devices(replicas)
    if replicas == 1:
        return strategies.create(settings.RuntimeSettings())
    devices = tuple(f"CPU:{i}" for i in range(replicas))
    return strategies.create(settings.RuntimeSettings(strategy="mirrored", devices=devices))


def main(replicas: int, losses: str) -> None:
    made = made_devices(replicas)
    cases = {"sigmoid": sigmoid_cases, "softmax": softmax_cases}[losses]
    print(json.dumps(cases(made.strategy, made.collectives)))


def sigmoid_cases(
    strategy: tf.distribute.Strategy, collectives: collectives.Collectives
) -> dict[str, dict[str, float]]:
    replicas = collectives.num_replicas
    expected = reference(dense_sigmoid_loss, replicas)
    result = {"ring": errors(on_devices(sigmoid.sigmoid_loss, strategy, collectives), expected)}
    if replicas > 1:
        variants = {"gathered": Gathered, "reversed": Reversed, "missing_hop": MissingHop}
        for name, variant in variants.items():
            result[name] = errors(on_devices(sigmoid.sigmoid_loss, strategy, variant(replicas)), expected)
        result["divided_by_local_b"] = errors(on_devices(scaled(replicas), strategy, collectives), expected)
    return result


def softmax_cases(
    strategy: tf.distribute.Strategy, collectives: collectives.Collectives
) -> dict[str, dict[str, float]]:
    replicas = collectives.num_replicas
    expected = reference(dense_softmax_loss, replicas)
    result = {"softmax": errors(on_devices(softmax_with_bias, strategy, collectives), expected)}
    for name, loss in {
        "softmax_smoothed": smoothed,
        "one_way_smoothed": one_way_smoothed,
        "one_way_soft_queue": one_way_soft_queue,
    }.items():
        result[name] = errors(on_devices(loss, strategy, collectives), reference(loss, replicas))
    if replicas > 1:
        found = on_devices(smoothed_by_local_b, strategy, collectives)
        result["smoothed_by_local_b"] = errors(found, reference(smoothed, replicas))
    return result


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
