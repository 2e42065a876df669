"""Compares ClipRocket and its terms on N logical CPUs with one device, and 20 steps of its state with NumPy.

A script, since devices must be set before TensorFlow starts.

python -m tests.models.distribution.rocket_on_devices N quick    without terms and without the 20 steps
python -m tests.models.distribution.rocket_on_devices N whole

prints one JSON object: {case: largest relative error}, and "replicas_differ": how many variables differ between them.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import tensorflow as tf
from tensorflow.python.distribute import values

from models import settings
from models.distribution import strategies
from models.distribution.collectives import Collectives, OneDevice
from models.layers.batch_norm import BatchNorm
from models.objectives.clip_rocket import ClipRocket
from models.objectives.objective import CARRIED
from models.objectives.rocket_terms import barlip, swalip
from models.optimizers.parameters import name
from tests.devices import make_devices
from tests.models.objectives import rocket_reference, rockets

ROWS, STEPS = 16, 20
QUICK = {"views": rockets.CONFIGS["views"]}
WHOLE = {
    "terms": rockets.CONFIGS["all"],
    "sigmoid_swalip": rockets.config(terms=(rockets.SWALIP,), contrast="sigmoid", label_smoothing=0.0),
    "prototypes": rockets.CONFIGS["prototypes"],
}
Found = dict[str, np.ndarray]


def per_replica(features: Mapping[str, tf.Tensor], replicas: int) -> dict[str, object]:
    if replicas == 1:
        return dict(features)
    return {key: values.PerReplica(tf.split(value, replicas)) for key, value in features.items()}


def loss_and_gradients(
    objective: ClipRocket, strategy: tf.distribute.Strategy, collectives: Collectives, features: Mapping[str, tf.Tensor]
) -> Found:
    """Loss, metrics, what is carried, and gradients by the features of all rows and by all weights."""
    weights = [variable for variable in objective.trainable_variables if "tower" not in variable.name]

    def step(features: dict[str, tf.Tensor]) -> tuple[object, ...]:
        with tf.GradientTape() as tape:
            tape.watch(features)
            share, metrics = objective.loss(features, collectives)
        by_features, by_weights = tape.gradient(share, (features, weights), unconnected_gradients="zero")
        summed = collectives.all_reduce([share, *by_weights])
        return by_features, dict(zip(["loss", *map(name, weights)], summed, strict=True)), metrics

    return run_on_replicas(step, strategy, collectives, features)


def run_on_replicas(
    step: Callable[..., object],
    strategy: tf.distribute.Strategy,
    collectives: Collectives,
    rows: Mapping[str, tf.Tensor],
) -> Found:
    """Runs a step, rows -> (what has a row for each, sums over replicas, metrics), in a graph on all replicas."""
    run = tf.function(lambda rows: strategy.run(step, args=(rows,)), autograph=False)
    by_rows, summed, metrics = run(per_replica(rows, collectives.num_replicas))

    def local(value: object) -> list[np.ndarray]:
        return [part.numpy() for part in strategy.experimental_local_results(value)]

    whole = {key: np.concatenate(local(value)) for key, value in by_rows.items()}
    return {**whole, **{key: local(value)[0] for key, value in {**summed, **metrics}.items()}}


def error(found: Found, expected: Found) -> float:
    """The largest error, relative to the largest value of its kind: gradients by weights, or by rows, or scalars."""
    assert set(found) == set(expected)
    largest = max(np.abs(value).max() for value in expected.values())
    return max(float(np.abs(found[key] - value).max()) for key, value in expected.items()) / largest


def own_norm(usual: Callable[..., object]) -> Callable[..., object]:
    return lambda self, inputs, _: usual(self, inputs, OneDevice())


def own_sinkhorn(usual: Callable[..., object]) -> Callable[..., object]:
    def within(similarity: tf.Tensor, temperature: float, rounds: int, collectives: Collectives) -> tf.Tensor:
        return usual(similarity, temperature, rounds, OneDevice()) + 0 * collectives.num_replicas

    return within


def own_correlation(usual: Callable[..., object]) -> Callable[..., object]:
    def within(image: tf.Tensor, text: tf.Tensor, redundancy: float, collectives: Collectives) -> tf.Tensor:
        return usual(image, text, redundancy, OneDevice()) / collectives.num_replicas

    return within


CONTROLS = {
    "norm_within_replica": ("views", BatchNorm, "of_batch", own_norm),
    "correlation_within_replica": ("terms", barlip, "redundancy_loss", own_correlation),
    "sinkhorn_within_replica": ("sigmoid_swalip", swalip, "sinkhorn", own_sinkhorn),
}


@contextlib.contextmanager
def broken(control: str) -> Iterator[None]:
    _, owner, attribute, change = CONTROLS[control]
    with mock.patch.object(owner, attribute, change(getattr(owner, attribute))):
        yield


def drawn(objective: ClipRocket, rng: np.random.Generator) -> None:
    """Gives all trained weights other values, as an optimiser would; the scales may leave their bounds."""
    for variable in objective.trainable_variables:
        factor = 4.0 if "log_scale" in variable.name else 1.0
        variable.assign(factor * rng.normal(size=variable.shape))


def expected_after(objective: ClipRocket, features: dict[str, tf.Tensor], before: Found) -> Found:
    """The state after a step, from the state before and the weights of now."""
    arrays, after = rockets.arrays(objective, features), dict(before)
    for m in rocket_reference.MODALITIES:
        for i, rows in enumerate(rocket_reference.local(arrays, m)[:-1]):
            mean, variance = (np.mean(one, axis=(0, 1)) for one in rocket_reference.moments(rows))
            of_batch = {"mean": mean, "variance": variance * ROWS / (ROWS - 1)}
            for statistic, value in of_batch.items():
                key = f"local_{m}_projector/norm_{i}/running_{statistic}"
                after[key] = 0.9 * before[key] + 0.1 * value
    momentum = next(one.momentum for one in objective.config.terms if isinstance(one, settings.ByolipSettings))
    weights = {name(variable): variable.numpy() for variable in objective.variables}
    for key in before:
        if "momentum" in key:
            source = key.replace("byolip_momentum_", "") if "_tower" in key else key.replace("momentum_", "")
            after[key] = momentum * before[key] + (1 - momentum) * weights[source]
    for scale in ("log_scale", "local_log_scale"):
        after[scale] = np.clip(weights[scale], 0, np.log(100))
    return after


def trace(strategy: tf.distribute.Strategy, collectives: Collectives) -> dict[str, float]:
    """Runs 20 steps of the state: the largest error, the largest change in a step, and how many variables differ."""
    with strategy.scope():
        objective = rockets.made(WHOLE["terms"], "float64")
        objective.start()

    def step(features: dict[str, tf.Tensor]) -> None:
        _, metrics = objective.loss(features, collectives)
        carried = {key: value for key, value in metrics.items() if key.startswith(CARRIED)}
        objective.after_update({**features, **carried}, collectives)

    run = tf.function(lambda features: strategy.run(step, args=(features,)), autograph=False)
    kept = [*objective.state, objective.log_scale, objective.local_log_scale]
    rng, worst, moved = np.random.default_rng(0), 0.0, 0.0
    for number in range(STEPS):
        drawn(objective, rng)
        features = rockets.encoded(objective, ROWS, "float64", seed=number)
        before = {name(variable): variable.numpy() for variable in kept}
        expected = expected_after(objective, features, before)
        run(per_replica(features, collectives.num_replicas))
        for variable in kept:
            found = variable.numpy()
            worst = max(worst, float(np.abs(found - expected[name(variable)]).max()))
            moved = max(moved, float(np.abs(found - before[name(variable)]).max()))
    copies = [strategy.experimental_local_results(variable) for variable in objective.variables]
    differ = sum(any(not np.array_equal(one.numpy(), other.numpy()) for other in same) for same in copies
                 for one in same[:1])  # fmt: skip
    return {"trace": worst, "control_nothing_moves": moved, "replicas_differ": differ}


def main(replicas: int, how_much: str) -> None:
    make_devices(replicas)
    devices = tuple(f"CPU:{i}" for i in range(replicas))
    mirrored = settings.RuntimeSettings(strategy="mirrored", devices=devices)
    made = strategies.create(mirrored if replicas > 1 else settings.RuntimeSettings())
    result = {}
    for case, config in (QUICK if how_much == "quick" else WHOLE).items():
        alone = rockets.made(config, "float64")
        features = rockets.encoded(alone, ROWS, "float64")
        expected = loss_and_gradients(alone, tf.distribute.get_strategy(), OneDevice(), features)
        with made.strategy.scope():
            objective = rockets.made(config, "float64")
        arguments = (objective, made.strategy, made.collectives, features)
        result[case] = error(loss_and_gradients(*arguments), expected)
        for control in [key for key, value in CONTROLS.items() if value[0] == case and replicas == 2]:
            with broken(control):
                result[control] = error(loss_and_gradients(*arguments), expected)
    if how_much == "whole":
        result |= trace(made.strategy, made.collectives)
    print(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
