"""Compares the loss over a part of the negatives on N logical CPUs with a dense float64 reference.

A script, since devices must be set before TensorFlow starts.

python -m tests.models.distribution.masked_on_devices N [RATIO...]    prints JSON: {case: {gradient or loss: largest
error}}, with these numbers of negatives a positive; without any, 1.6, 4 and all
"""

import functools
import json
import sys
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from models import draws, settings
from models.distribution import collectives
from models.losses.masked_sigmoid import masked_sigmoid_loss
from models.losses.sigmoid import sigmoid_loss
from tests.dense_losses import chosen_negatives, dense_masked_sigmoid_loss
from tests.models.distribution.ring_on_devices import BIAS, LOG_SCALE, ROWS, embeddings, errors, made_devices
from tests.models.distribution.ring_on_devices import on_devices as on_devices_of
from tests.models.distribution.ring_on_devices import reference as reference_of


class WithinReplica(collectives.Mirrored):
    """Control: each replica counts its own pairs only, and takes all others for copies of itself."""

    def all_reduce(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        counts = tensors[0].dtype == tf.int32
        return [self.num_replicas * tensor for tensor in tensors] if counts else super().all_reduce(tensors)


def seeds(replicas: int) -> np.ndarray:
    return np.random.default_rng(5).integers(-(2**31), 2**31, (replicas * ROWS, 2)).astype(np.int32)


def kept(negatives: settings.NegativesSettings, replicas: int) -> np.ndarray:
    """bool [|B|, |B|]."""
    x, y = embeddings(replicas)
    if negatives.kind != "random":
        logits = np.exp(LOG_SCALE) * x @ y.T + BIAS
        return chosen_negatives(logits, negatives.kind, round(negatives.per_positive * len(x)))
    probability = negatives.per_positive / (len(x) - 1)
    drawn = np.stack([draws.coins(tf.constant(seed), [len(x)], probability).numpy() for seed in seeds(replicas)])
    return drawn & ~np.eye(len(x), dtype=bool)


def loss_of(negatives: settings.NegativesSettings, replicas: int) -> object:
    """`masked_sigmoid_loss` with the arguments of `sigmoid_loss`."""

    def loss(*arguments: object) -> tf.Tensor:
        *pairs, collectives = arguments
        own = tf.constant(seeds(replicas).reshape(replicas, ROWS, 2))[collectives.replica_id()]
        return masked_sigmoid_loss(*pairs, negatives, own, collectives)[0]

    return loss


def main(replicas: int, ratios: list[float]) -> None:
    made = made_devices(replicas)
    result, ring = {}, on_devices_of(sigmoid_loss, made.strategy, made.collectives)
    for kind in ("random", "hard", "easy"):
        for ratio in ratios or (1.6, 4.0, float(replicas * ROWS - 1)):
            negatives = settings.NegativesSettings(kind, ratio)
            loss = loss_of(negatives, replicas)
            dense = functools.partial(dense_masked_sigmoid_loss, kept=kept(negatives, replicas))
            expected, found = (
                reference_of(dense, replicas),
                on_devices_of(loss, made.strategy, made.collectives),
            )
            result[f"{kind}, {ratio:g}"] = errors(found, expected)
            if ratio == replicas * ROWS - 1:
                result[f"{kind}, all, to the ring"] = errors(found, ring)
            elif replicas > 1 and kind != "random" and ratio == 4.0:
                within = on_devices_of(loss, made.strategy, WithinReplica(replicas))
                result[f"{kind}, {ratio:g}, within each replica"] = errors(within, expected)
    print(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]), [float(ratio) for ratio in sys.argv[2:]])
