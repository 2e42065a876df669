"""Compares Oner on N logical CPUs with one device, and 30 steps of its momentum copy with NumPy.

A script, since devices must be set before TensorFlow starts.

python -m tests.models.distribution.oner_on_devices N quick    the losses alone
python -m tests.models.distribution.oner_on_devices N whole    also the masks and passes of the tower, and the 30 steps

prints one JSON object: {case: largest relative error}, and "replicas_differ": how many variables differ between them.
"""

import json
import math
import os
import sys
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import tensorflow as tf

from models import settings
from models.distribution import strategies
from models.distribution.collectives import Collectives, OneDevice
from models.objectives import oner
from models.objectives.oner import Oner
from models.optimizers.parameters import name
from tests.devices import make_devices
from tests.models.distribution.rocket_on_devices import Found, error, run_on_replicas
from tests.models.objectives import oners

ROWS = 16
QUICK, WHOLE = ("everything",), ("everything", "sigmoid")


def of_encoded(
    objective: Oner, strategy: tf.distribute.Strategy, collectives: Collectives, encoded: dict[str, tf.Tensor]
) -> Found:
    """Loss, metrics, and gradients by the encoded rows and by all weights that the loss reads."""
    weights = [v for v in objective.trainable_variables if "tower" not in v.name and "head" not in v.name]

    def step(encoded: dict[str, tf.Tensor]) -> tuple[object, ...]:
        with tf.GradientTape() as tape:
            tape.watch(encoded)
            share, metrics = objective.loss(encoded, collectives)
        by_rows, by_weights = tape.gradient(share, (encoded, weights), unconnected_gradients="zero")
        summed = collectives.all_reduce([share, *by_weights])
        return by_rows, dict(zip(["loss", *map(name, weights)], summed, strict=True)), metrics

    return run_on_replicas(step, strategy, collectives, encoded)


def of_batch(
    objective: Oner, strategy: tf.distribute.Strategy, collectives: Collectives, batch: dict[str, tf.Tensor]
) -> Found:
    """Loss, and gradients by all weights, from pictures and texts."""
    weights = objective.trainable_variables

    def step(batch: dict[str, tf.Tensor]) -> tuple[object, ...]:
        with tf.GradientTape() as tape:
            share, metrics = objective.loss(objective.encode(batch), collectives)
        summed = collectives.all_reduce([share, *tape.gradient(share, weights, unconnected_gradients="zero")])
        return {}, dict(zip(["loss", *map(name, weights)], map(tf.convert_to_tensor, summed), strict=True)), metrics

    return run_on_replicas(step, strategy, collectives, batch)


def drawn(objective: Oner) -> dict[str, tf.Tensor]:
    """Encoded rows as `encode` gives them, drawn; some rows have no masked place."""
    rng, found = np.random.default_rng(0), {}
    for key, value in objective.encode(oners.batch(2)).items():
        rows = rng.normal(size=(ROWS, *value.shape[1:]))
        if key.endswith("_count"):
            rows = rng.integers(0, 4, ROWS).astype(float)
        elif not key.endswith("_error"):
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        found[key] = tf.constant(rows)
    return found


def own_keys(usual):
    """A contrast with the keys of one replica only."""

    def within(queries, keys, log_scale, collectives, **more):
        return usual(queries, keys, log_scale, OneDevice(), **more) / collectives.num_replicas

    return within


def trace(strategy: tf.distribute.Strategy, collectives: Collectives) -> dict[str, float]:
    """Runs 30 steps of the momentum copy: the largest error, and how many variables differ between replicas."""
    with strategy.scope():
        objective = oners.made(oners.CONFIGS["itc"])
    run = tf.function(lambda: strategy.run(lambda: objective.after_update({}, collectives)), autograph=False)
    copies = {name(v).removeprefix("momentum_tower/"): v for v in objective.state[:-1]}
    trained = {name(v).removeprefix("one_tower/"): v for v in objective.tower.variables}
    expected, rng = {key: value.numpy() for key, value in copies.items()}, np.random.default_rng(0)
    for step in range(oners.STEPS):
        for variable in trained.values():
            variable.assign(rng.normal(size=variable.shape))
        m = 1 - (1 - 0.99) * (1 + math.cos(math.pi * step / oners.STEPS)) / 2
        expected = {key: m * value + (1 - m) * trained[key].numpy() for key, value in expected.items()}
        run()
    worst = max(float(np.abs(copies[key].numpy() - value).max()) for key, value in expected.items())
    local = [strategy.experimental_local_results(variable) for variable in objective.state]
    differ = sum(any(not np.array_equal(one.numpy(), same[0].numpy()) for one in same) for same in local)
    return {"trace": worst, "replicas_differ": differ, "steps": int(objective.state[-1].numpy())}


def main(replicas: int, how_much: str) -> None:
    make_devices(replicas)
    devices = tuple(f"CPU:{i}" for i in range(replicas))
    mirrored = settings.RuntimeSettings(strategy="mirrored", devices=devices)
    made = strategies.create(mirrored if replicas > 1 else settings.RuntimeSettings())
    result = {}
    for case in QUICK if how_much == "quick" else WHOLE:
        alone, config = oners.made(oners.CONFIGS[case]), oners.CONFIGS[case]
        encoded = drawn(alone)
        with made.strategy.scope():
            objective = oners.made(config)
        expected = of_encoded(alone, tf.distribute.get_strategy(), OneDevice(), encoded)
        result[case] = error(of_encoded(objective, made.strategy, made.collectives, encoded), expected)
        if case == "everything":
            with mock.patch.object(oner, "one_way_softmax_loss", own_keys(oner.one_way_softmax_loss)):
                found = of_encoded(objective, made.strategy, made.collectives, encoded)
            result["keys_of_one_replica"] = error(found, expected)
        if case == "everything" and how_much == "whole":
            batch = oners.batch(ROWS)
            expected = of_batch(alone, tf.distribute.get_strategy(), OneDevice(), batch)
            result["whole"] = error(of_batch(objective, made.strategy, made.collectives, batch), expected)
    if how_much == "whole":
        result |= trace(made.strategy, made.collectives)
    print(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
