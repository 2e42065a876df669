"""Reference losses: over the whole batch at once, differentiated by TensorFlow, or in NumPy by complex steps."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf


def dense_sigmoid_loss(
    image: tf.Tensor, text: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor, _: object = None
) -> tf.Tensor:
    """Algorithm 1 of the SigLIP paper; the last argument, unused, lets it replace `sigmoid_loss`."""
    labels = 2 * tf.eye(image.shape[0], dtype=image.dtype) - 1
    logits = tf.matmul(image, text, transpose_b=True) * tf.exp(log_scale) + bias
    return tf.reduce_mean(tf.reduce_sum(tf.nn.softplus(-labels * logits), axis=-1))


def dense_softmax_loss(image: tf.Tensor, text: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """CLIP's loss, which has no bias: the gradient of `bias` is 0."""
    logits = tf.matmul(image, text, transpose_b=True) * tf.exp(log_scale)
    rows, columns = (tf.linalg.diag_part(tf.nn.log_softmax(logits, axis)) for axis in (1, 0))
    return -tf.reduce_mean(rows + columns) / 2 + 0 * bias


def dense_masked_sigmoid_loss(
    image: tf.Tensor, text: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor, kept: np.ndarray
) -> tf.Tensor:
    """The sigmoid loss over all positive pairs and the `kept` negatives, [|B|, |B|]; it is not weighted anew."""
    logits = tf.matmul(image, text, transpose_b=True) * tf.exp(log_scale) + bias
    positive = tf.reduce_sum(tf.nn.softplus(-tf.linalg.diag_part(logits)))
    negative = tf.reduce_sum(tf.where(kept, tf.nn.softplus(logits), tf.zeros_like(logits)))
    return (positive + negative) / image.shape[0]


def chosen_negatives(logits: np.ndarray, kind: str, count: int) -> np.ndarray:
    """The `count` "hard" or "easy" negatives of the logits, bool [|B|, |B|], by sorting all of them."""
    rows, columns = np.nonzero(~np.eye(len(logits), dtype=bool))
    order = np.argsort(logits[rows, columns])
    chosen = order[len(order) - count :] if kind == "hard" else order[:count]
    kept = np.zeros(logits.shape, bool)
    kept[rows[chosen], columns[chosen]] = True
    return kept


def dense_one_way_loss(
    queries: np.ndarray,
    keys: np.ndarray,
    log_scale: np.ndarray,
    label_smoothing: float = 0.0,
    targets: np.ndarray | None = None,
    queue: np.ndarray | None = None,
) -> np.ndarray:
    """Cross-entropy of each query among all keys, then the queue, in NumPy; real or complex."""
    every_key = keys if queue is None else np.concatenate([keys, queue])
    logits = np.exp(log_scale) * queries @ every_key.T
    rows, columns = logits.shape
    if targets is None:
        targets = (1 - label_smoothing) * np.eye(rows, columns) + label_smoothing / columns
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -(targets * log_probabilities).sum() / rows


def complex_step_gradients(
    function: Callable[..., np.ndarray], inputs: dict[str, np.ndarray]
) -> tuple[float, dict[str, np.ndarray]]:
    """The value of a real-analytic NumPy function of named arrays, and its exact gradient by each of them.

    The derivative of f by x is Im f(x + ih) / h, without cancellation, so h is far below the precision of float64
    (Squire and Trapp, SIAM Review 40, 1998). The function must not take absolute values or conjugates.
    """
    step = 1e-100
    gradients = {}
    for name, value in inputs.items():
        gradient = np.zeros(np.shape(value))
        for place in np.ndindex(*np.shape(value)):
            moved = np.array(value, np.complex128)
            moved[place] += step * 1j
            gradient[place] = np.imag(function(**{**inputs, name: moved})) / step
        gradients[name] = gradient
    return float(np.real(function(**inputs))), gradients
