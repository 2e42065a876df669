"""Small Simla objectives, and batches for them."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from models import settings
from models.layers.visual_codes import Codebook
from models.objectives.objective import Run
from models.objectives.simla import Simla
from models.towers.precision import layers_with_policy

WIDTH, HEADS, VOCABULARY, LENGTH, DIM, QUEUE, CODES, PATCH = 12, 3, 16, 10, 3, 12, 6, 4
PAD, END, WORDS = 1, 0, np.arange(3, VOCABULARY)
IMAGE_TOWER = settings.ImageTowerSettings(
    size=8, patch=PATCH, width=WIDTH, depth=1, heads=HEADS, mlp_dim=8, pooling="cls"
)
TEXT_TOWER = settings.TextTowerSettings(length=LENGTH, width=WIDTH, depth=2, heads=HEADS, mlp_dim=8)
BOOK = settings.VisualCodebookSettings(codes=CODES)
TERMS = ("itc", "itm", "mlm", "mim", "psl")


def config(*terms: str, **more: object) -> settings.SimlaSettings:
    """With these terms, all of them without any named, each with a weight of its own."""
    weights = {name: 0.5 + 0.25 * place if name in (terms or TERMS) else 0.0 for place, name in enumerate(TERMS)}
    usual = {"projection_dim": DIM, "queue_size": QUEUE, "masked_words": 0.5, "alpha_steps": 10, "votes": 2}
    usual |= {"keywords": 2, "visual_codebook": BOOK, "momentum": 0.9, "temperature": 0.2, **weights}
    return settings.SimlaSettings(**{"image_tower": IMAGE_TOWER, "text_tower": TEXT_TOWER, **usual, **more})


def made(of: settings.SimlaSettings, dtype: str = "float32", seed: int = 0, step: int = 5) -> Simla:
    """The objective with weights, copies and queues drawn anew, so that none is 0; exact in float32."""
    keras.utils.set_random_seed(seed)
    with layers_with_policy(dtype):
        objective = Simla(of, VOCABULARY)
        objective.build()
    rng = np.random.default_rng(seed)
    for variable in objective.variables:
        drawn = np.float32(rng.normal(size=variable.shape))
        if variable.dtype.is_floating and variable.shape.rank and "queue" not in variable.name:
            variable.assign(1.0 + 0.25 * drawn if "gamma" in variable.name else 0.5 * drawn)
    for queue in [variable for variable in objective.state if "queues" in variable.name and variable.shape.rank]:
        drawn = np.float32(rng.normal(size=queue.shape))
        queue.assign(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))
    centres = rng.normal(size=(CODES - 1, 3 * 4 * 4 + 1))  # one fewer than there is room for
    codebook = Codebook(np.float32(centres), np.ones(CODES - 1, np.float32), 4)
    objective.prepare(Run(1000, lambda: WORDS, codebook))
    objective._ramp().step.assign(step)
    return objective


def batch(rows: int, dtype: str = "float32", seed: int = 0) -> dict[str, tf.Tensor]:
    """Texts of 6 to 9 words, each third of 1 to 4, an end of sentence and padding.

    Rows 0 and 1 have one caption, 2 and 3 one picture.
    """
    rng = np.random.default_rng(seed)
    ids = np.full((rows, LENGTH), PAD)
    for row in range(rows):
        words = rng.integers(1, 5) if row % 3 == 2 else rng.integers(6, LENGTH)
        ids[row, :words], ids[row, words] = rng.choice(WORDS, words), END
    pictures = np.arange(100, 100 + rows)
    if rows > 3:
        ids[1], pictures[3] = ids[0], pictures[2]
    return {
        "images": tf.constant(np.float32(rng.uniform(-1, 1, (rows, 8, 8, 3))), dtype),
        "token_ids": tf.constant(ids, tf.int32),
        "seeds": tf.constant(rng.integers(-(2**31), 2**31, (rows, 2)), tf.int32),
        "picture_ids": tf.constant(pictures, tf.int32),
    }
