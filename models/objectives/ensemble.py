"""Mixes two kinds of similarities in one embedding, and chooses their weight (CLIP-rocket, arXiv 2305.08675)."""

import numpy as np
import tensorflow as tf

from models.objectives.objective import ScoredRows

WEIGHTS = tuple(tenth / 10 for tenth in range(11))
START = 0.5
"""The weight until it is chosen."""


def mixed(first: tf.Tensor, second: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """[N, D] each, unit norm -> [N, 2 D], unit norm: [sqrt(w) z; sqrt(1 - w) h].

    The dot product of two such embeddings is w z_i . z_t + (1 - w) h_i . h_t, which is how the paper mixes
    similarities. So a mixed embedding is exported, compared and stored as any other.
    """
    return tf.concat([tf.sqrt(weight) * first, tf.sqrt(1.0 - weight) * second], axis=-1)


def chosen(held_out: ScoredRows) -> tuple[float, dict[str, float]]:
    """The weight of WEIGHTS with the best mean recall, the first of equal ones, and all recalls for the log.

    Args:
      held_out: rows whose embeddings are mixed with the weight START.
    """
    halves = [np.split(embedding, 2, axis=-1) for embedding in held_out.embed()]
    recalls = {}
    for weight in WEIGHTS:
        shares = np.sqrt(weight / START), np.sqrt((1.0 - weight) / (1.0 - START))
        image, text = (np.concatenate([shares[0] * z, shares[1] * h], axis=-1) for z, h in halves)
        recalls[weight] = held_out.mean_recall(image, text)
    best = max(WEIGHTS, key=lambda weight: recalls[weight])
    return best, {f"mean_recall_at_weight_{weight:.1f}": recall for weight, recall in recalls.items()}
