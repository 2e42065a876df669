"""Trains tests.tpu.linear in NumPy and float64: one device, the whole batch, derivatives by hand.

Only the random choice of negatives comes from the code under test, in TensorFlow without XLA.
"""

import numpy as np
import tensorflow as tf

from models import draws
from tests.dense_losses import chosen_negatives

SIZE, LENGTH, WORDS, WIDTH, ROWS = 4, 5, 11, 16, 7  # ROWS is for one replica
STEPS, PER_POSITIVE = 3, 4.0
RATE, DECAY, BETA_1, BETA_2, CLIP = 2.0**-7, 2.0**-4, 0.875, 0.96875, 2.0**-4
EPSILON = 2.0**-10  # not smaller, or Adam would turn a gradient of rounding errors into a full step
Arrays = dict[str, np.ndarray]


def start() -> Arrays:
    """The initial weights, exact in float32."""
    rng = np.random.default_rng(0)
    weights = {
        "image/kernel": rng.normal(size=(SIZE * SIZE * 3, WIDTH)) * 0.1,
        "text/embeddings": rng.normal(size=(WORDS, WIDTH)) * 0.1,
        "log_scale": np.log(10.0),
        "bias": -10.0,
    }
    return {name: np.float64(np.float32(weight)) for name, weight in weights.items()}


def batch(replicas: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels, uint8 [|B|, SIZE, SIZE, 3], and token ids, int32 [|B|, LENGTH]."""
    rng = np.random.default_rng(1)
    count = replicas * ROWS
    pixels = rng.integers(0, 256, (count, SIZE, SIZE, 3)).astype(np.uint8)
    return pixels, rng.integers(0, WORDS, (count, LENGTH)).astype(np.int32)


def seeds(replicas: int) -> np.ndarray:
    """int32 [|B|, 2]."""
    return np.random.default_rng(2).integers(-(2**31), 2**31, (replicas * ROWS, 2)).astype(np.int32)


def loss_and_gradients(
    weights: Arrays, pixels: np.ndarray, token_ids: np.ndarray, loss: str = "sigmoid"
) -> tuple[Arrays, Arrays]:
    """The loss and mean logits, and the gradient of the loss by each weight.

    `loss` is "sigmoid", "softmax", or the kind of the negatives that the sigmoid loss keeps.
    """
    count = len(pixels)
    inputs = np.float64(pixels).reshape(count, -1) / 127.5 - 1.0
    counts = np.stack([np.bincount(row, minlength=WORDS) for row in token_ids]) / LENGTH
    image, image_backward = _normalized(inputs @ weights["image/kernel"])
    text, text_backward = _normalized(counts @ weights["text/embeddings"])
    scale, bias = np.exp(weights["log_scale"]), weights["bias"]
    similarity = image @ text.T
    logits = scale * similarity + bias
    positive = np.eye(count, dtype=bool)
    masked = loss in ("random", "hard", "easy")
    kept = _kept(logits, loss) if masked else ~positive
    total, by_logit = _softmax(logits) if loss == "softmax" else _sigmoid(logits, kept)
    scalars = {
        "loss": total,
        "positive_logit": logits[positive].mean(),
        "negative_logit": logits[~positive].mean(),
    }
    if masked:
        scalars |= {"kept_negatives": kept.sum() / count, "kept_negative_logit": logits[kept].mean()}
    return scalars, {
        "image/kernel": inputs.T @ image_backward(scale * by_logit @ text),
        "text/embeddings": counts.T @ text_backward(scale * by_logit.T @ image),
        "log_scale": np.sum(by_logit * similarity) * scale,
        "bias": by_logit.sum() if loss != "softmax" else 0.0,  # the softmax loss does not depend on it
    }


def _kept(logits: np.ndarray, kind: str) -> np.ndarray:
    """bool [|B|, |B|], the negatives that the loss keeps."""
    count = len(logits)
    if kind != "random":
        return chosen_negatives(logits, kind, round(PER_POSITIVE * count))
    probability = PER_POSITIVE / (count - 1)
    drawn = [draws.coins(tf.constant(seed), [count], probability).numpy() for seed in seeds(count // ROWS)]
    return np.stack(drawn) & ~np.eye(count, dtype=bool)


def _sigmoid(logits: np.ndarray, kept: np.ndarray) -> tuple[float, np.ndarray]:
    """The loss over positive pairs and kept negatives, and its gradient by each logit."""
    signs, weights = 2.0 * np.eye(len(logits)) - 1.0, np.eye(len(logits)) + kept
    by_logit = -signs * weights / (1.0 + np.exp(signs * logits))
    return (weights * np.logaddexp(0.0, -signs * logits)).sum() / len(logits), by_logit / len(logits)


def _softmax(logits: np.ndarray) -> tuple[float, np.ndarray]:
    rows = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    columns = np.exp(logits) / np.exp(logits).sum(axis=0, keepdims=True)
    total = -(np.log(np.diag(rows)) + np.log(np.diag(columns))).mean() / 2
    return total, (rows + columns - 2 * np.eye(len(logits))) / (2 * len(logits))


def _normalized(rows: np.ndarray) -> tuple[np.ndarray, object]:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / norms

    def backward(upstream: np.ndarray) -> np.ndarray:
        return (upstream - unit * np.sum(unit * upstream, axis=1, keepdims=True)) / norms

    return unit, backward


def train(replicas: int, loss: str = "sigmoid") -> Arrays:
    """Scalars and gradients of every step, [STEPS, 1, ...]; moments and weights after the last step, [1, ...]."""
    weights, (pixels, token_ids) = start(), batch(replicas)
    first, second = ({name: np.zeros_like(w) for name, w in weights.items()} for _ in range(2))
    rows = []
    for step in range(1, STEPS + 1):
        before = dict(weights)
        scalars, gradients = loss_and_gradients(weights, pixels, token_ids, loss)
        norm = np.sqrt(sum(np.sum(g**2) for g in gradients.values()))
        assert norm > CLIP, f"the norm is {norm}: clipping is not active; lower CLIP"
        scalars |= {"gradient_norm": norm, "learning_rate": RATE, "bad_part": -1}
        for name, weight in weights.items():
            gradient = gradients[name] * CLIP / norm
            first[name] = BETA_1 * first[name] + (1 - BETA_1) * gradient
            second[name] = BETA_2 * second[name] + (1 - BETA_2) * gradient**2
            root = np.sqrt(second[name] / (1 - BETA_2**step))
            change = RATE * first[name] / (1 - BETA_1**step) / (root + EPSILON)
            decay = RATE * DECAY if name.endswith("kernel") else 0.0
            weights[name] = weight - change - decay * weight
        scalars["update_norm"] = np.sqrt(sum(np.sum((before[name] - w) ** 2) for name, w in weights.items()))
        scalars["weight_norm"] = np.sqrt(sum(np.sum(w**2) for w in weights.values()))  # after the update
        rows.append(scalars | {f"gradient/{name}": g for name, g in gradients.items()})
    after = {f"first_moment/{n}": v for n, v in first.items()} | {f"second_moment/{n}": v for n, v in second.items()}
    return {name: np.stack([row[name] for row in rows])[:, None] for name in rows[0]} | {
        f"variable/{name}": np.asarray(value)[None] for name, value in (weights | after).items()
    }


def errors(got: Arrays, expected: Arrays) -> dict[str, float]:
    """{group: largest error of any replica, divided by the largest value of the reference}."""
    worst: dict[str, float] = {}
    for name, value in expected.items():
        error = np.abs(got[name] - value).max() / (np.abs(value).max() or 1.0)
        group = next((g for g in ("gradient/", "moment") if g in name), "weight" if "/" in name else name).strip("/")
        worst[group] = max(worst.get(group, 0.0), float(error))
    return worst
