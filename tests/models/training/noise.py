"""Rows and noise for tests; also a script, since devices must be set before TensorFlow starts.

python -m tests.models.training.noise N FILE    writes the rows with noise of N logical CPUs to FILE, an .npz
"""

import os
import sys

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import functools
import types
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow.python.distribute import values

from models import settings
from models.distribution.collectives import Collectives, OneDevice
from models.objectives.objective import SEEDS, Views
from models.training.corruption import Corruption
from tests.models.distribution.ring_on_devices import made_devices

ALL = settings.CorruptionSettings(image=0.3, text=0.3, alignment=0.3)
LENGTH, END, PAD, WORDS = 9, 0, 1, np.arange(3, 60, dtype=np.int32)
TOKENIZER = types.SimpleNamespace(
    length=LENGTH, eos_id=END, config=types.SimpleNamespace(pad_id=PAD), text_ids=lambda: WORDS
)
VIEWS = Views({"images": None, "small": None}, ("token_ids", "others"))


def rows_of(count: int, seed: int = 0, side: int = 4) -> dict[str, np.ndarray]:
    """Grey pictures, and texts that are the number of the row; only the seeds depend on `seed`."""
    seeds = np.random.default_rng(seed).integers(-(2**31), 2**31, (count, 2)).astype(np.int32)
    texts = np.repeat(1000 + np.arange(count, dtype=np.int32)[:, None], LENGTH, axis=1)
    grey = np.full((count, side, side, 3), 128, np.uint8)
    return {"images": grey, "small": grey, "token_ids": texts, "others": texts + 1_000_000, SEEDS: seeds}


def corruption(config: settings.CorruptionSettings = ALL, collectives: Collectives | None = None) -> Corruption:
    return Corruption(config, VIEWS, TOKENIZER, collectives or OneDevice())


@functools.cache
def _compiled(config: settings.CorruptionSettings) -> Callable[..., dict[str, tf.Tensor]]:
    return tf.function(corruption(config))


def with_noise(count: int, config: settings.CorruptionSettings = ALL, seed: int = 0) -> dict[str, np.ndarray]:
    """`rows_of`, with noise, on one device."""
    batch = {name: tf.constant(value) for name, value in rows_of(count, seed).items()}
    return {name: value.numpy() for name, value in _compiled(config)(batch).items()}


def on_devices(replicas: int, count: int) -> dict[str, np.ndarray]:
    """The same rows with the same noise, each replica with its share of the rows."""
    made = made_devices(replicas)
    noise = corruption(collectives=made.collectives)
    batch = {
        name: values.PerReplica([tf.constant(part) for part in np.split(value, replicas)])
        for name, value in rows_of(count).items()
    }
    found = tf.function(lambda rows: made.strategy.run(noise, args=(rows,)), autograph=False)(batch)
    return {
        name: np.concatenate([part.numpy() for part in made.strategy.experimental_local_results(value)])
        for name, value in found.items()
    }


if __name__ == "__main__":
    np.savez(sys.argv[2], **on_devices(int(sys.argv[1]), count=40))
