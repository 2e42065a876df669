"""Compares Simla on N logical CPUs with one device, draws included, and 30 steps of its state with NumPy.

A script, since devices must be set before TensorFlow starts.

python -m tests.models.distribution.simla_on_devices N quick    without controls, and 4 steps of the state
python -m tests.models.distribution.simla_on_devices N whole

prints one JSON object: {case: largest relative error}, and what `trace` returns.
"""

import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import numpy as np
import tensorflow as tf

from models import settings
from models.distribution import strategies
from models.distribution.collectives import Collectives, OneDevice
from models.objectives.simla import Simla
from models.objectives.simla_terms import itc
from models.objectives.simla_terms.itm import Itm
from models.optimizers.parameters import name
from models.training import gradients
from tests.devices import make_devices
from tests.models.distribution.rocket_on_devices import Found, error, per_replica
from tests.models.objectives import simlas

ROWS = 8
STEPS = {"quick": 4, "whole": 30}
QUEUE = 3 * ROWS
CONFIG = simlas.config(queue_size=QUEUE, text_tower=dataclasses.replace(simlas.TEXT_TOWER, depth=1))


def loss_and_gradients(objective: Simla, strategy: tf.distribute.Strategy, collectives: Collectives) -> Found:
    """Loss, metrics, gradients by all weights, and the drawn pairs of the whole batch."""
    weights = objective.trainable_variables
    (matching,) = [term for term in objective._terms() if isinstance(term, Itm)]

    def step(batch: dict[str, tf.Tensor]) -> tuple[object, ...]:
        share, metrics, shares, encoded = gradients.of_batch(objective, objective.encode, batch, weights, collectives)
        summed = collectives.all_reduce([share, *shares])
        within = collectives if objective.config.negatives == "global" else OneDevice()
        return dict(zip(["loss", *map(name, weights)], summed, strict=True)), metrics, matching.drawn(encoded, within)

    run = tf.function(lambda batch: strategy.run(step, args=(batch,)), autograph=False)
    summed, metrics, drawn = run(per_replica(simlas.batch(ROWS, "float64"), collectives.num_replicas))

    def local(value: object) -> list[np.ndarray]:
        return [part.numpy() for part in strategy.experimental_local_results(value)]

    pairs = {key: np.concatenate(local(value)) for key, value in zip(("picture", "text", "fits"), drawn, strict=True)}
    pairs = {key: np.float64(value) for key, value in pairs.items()}
    return {**pairs, **{key: local(value)[0] for key, value in {**summed, **metrics}.items()}}


@contextlib.contextmanager
def targets_at_places_of_the_replica() -> Iterator[None]:
    """Targets whose one-hot is at the rows' places in their replica, in place of those in the whole batch."""
    with mock.patch.object(itc, "own_places", lambda rows, collectives: tf.range(rows)):
        yield


def drawn(objective: Simla, rng: np.random.Generator) -> None:
    """Gives all trained weights other values, as an optimiser would; the temperature may leave its bounds."""
    for variable in objective.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))


def expected_after(objective: Simla, keys: dict[str, np.ndarray], before: Found, pushed: list[Found]) -> Found:
    """The state after a step: weights of now, keys of this step, and all keys so far."""
    after, weights = dict(before), {name(variable): variable.numpy() for variable in objective.variables}
    for key in before:
        if key.startswith("momentum_"):
            after[key] = 0.9 * before[key] + 0.1 * weights[key.removeprefix("momentum_")]
    after["temperature"] = np.clip(weights["temperature"], 0.001, 0.5)
    after["ramp/step"] = before["ramp/step"] + 1
    after["queues/pointer"] = (before["queues/pointer"] + ROWS) % QUEUE
    pushed.append(keys)
    for m in ("image", "text"):
        last = np.concatenate([one[m] for one in pushed])[-QUEUE:]
        after[f"queues/{m}"] = np.roll(last, after["queues/pointer"], axis=0)
    return after


def trace(strategy: tf.distribute.Strategy, collectives: Collectives, steps: int) -> dict[str, float]:
    """Runs steps of the state: the largest error, how much moved, and how many variables differ on replicas."""
    with strategy.scope():
        objective = simlas.made(CONFIG, "float64")
        objective.start()

    def step(keys: dict[str, tf.Tensor]) -> None:
        objective.after_update({f"{m}_key": key for m, key in keys.items()}, collectives)

    run = tf.function(lambda keys: strategy.run(step, args=(keys,)), autograph=False)
    kept = [*objective.state, objective.temperature]
    rng, worst, moved = np.random.default_rng(0), 0.0, 0.0
    pushed = [{m: getattr(objective._aids().queues, m).numpy() for m in ("image", "text")}]
    for _ in range(steps):
        drawn(objective, rng)
        keys = {m: np.float64(np.float32(rng.normal(size=(ROWS, simlas.DIM)))) for m in ("image", "text")}
        before = {name(variable): variable.numpy() for variable in kept}
        expected = expected_after(objective, keys, before, pushed)
        run(per_replica({m: tf.constant(key) for m, key in keys.items()}, collectives.num_replicas))
        for variable in kept:
            found = np.float64(variable.numpy())
            worst = max(worst, float(np.abs(found - expected[name(variable)]).max()))
            moved = max(moved, float(np.abs(found - before[name(variable)]).max()))
    copies = [strategy.experimental_local_results(variable) for variable in objective.variables]
    differ = sum(any(not np.array_equal(same[0].numpy(), one.numpy()) for one in same[1:]) for same in copies)
    return {"trace": worst, "control_nothing_moves": moved, "replicas_differ": differ}


def main(replicas: int, how_much: str) -> None:
    make_devices(replicas)
    devices = tuple(f"CPU:{i}" for i in range(replicas))
    mirrored = settings.RuntimeSettings(strategy="mirrored", devices=devices)
    made = strategies.create(mirrored if replicas > 1 else settings.RuntimeSettings())
    expected = loss_and_gradients(simlas.made(CONFIG, "float64"), tf.distribute.get_strategy(), OneDevice())
    with made.strategy.scope():
        objective = simlas.made(CONFIG, "float64")
    found = loss_and_gradients(objective, made.strategy, made.collectives)
    result = {"global": error(found, expected)}
    if replicas == 2 and how_much == "whole":
        with made.strategy.scope():
            local = simlas.made(dataclasses.replace(CONFIG, negatives="replica"), "float64")
        other = loss_and_gradients(local, made.strategy, made.collectives)
        result["replica"] = error(other, expected)
        result["replica_places"] = int(max(other["picture"].max(), other["text"].max()))
        with targets_at_places_of_the_replica():
            other = loss_and_gradients(objective, made.strategy, made.collectives)
            result["targets_at_places_of_the_replica"] = error(other, expected)
        with mock.patch.object(type(made.collectives), "all_gather", lambda _, rows: rows):
            result["queue_of_one_replica"] = trace(made.strategy, made.collectives, 1)["trace"]
    print(json.dumps(result | trace(made.strategy, made.collectives, STEPS[how_much])))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
