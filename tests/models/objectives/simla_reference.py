"""Simla in plain TensorFlow, float64, over the whole batch at once: from pixels and pieces to the loss of each term.

It shares no layer, no loss and no custom gradient with the model: only the weights, by name. Masks, draws, keywords'
places and queues are given.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from models import settings
from tests.models.objectives.simlas import CODES, HEADS, PAD, PATCH

Weights = dict[str, tf.Tensor]
MODALITIES = ("image", "text")


@dataclasses.dataclass
class Planted:
    """What the model draws, and what it keeps from former steps.

    Attributes:
      hidden: bool [B, L], words that are the mask vector.
      word_places: bool [B, L], words to tell.
      shown_ids: int [B, L], the words where they are shown.
      patches: bool [B, P], masked patches.
      picture: int [B], the picture drawn for each text.
      text: int [B], the text drawn for each picture.
      fits: bool [B], whether any could be drawn.
      keywords: bool [B, L].
      queues: {"image" or "text": [Q, D]}.
      alpha: of the step.
    """

    hidden: np.ndarray
    word_places: np.ndarray
    shown_ids: np.ndarray
    patches: np.ndarray
    picture: np.ndarray
    text: np.ndarray
    fits: np.ndarray
    keywords: np.ndarray
    queues: dict[str, np.ndarray]
    alpha: float


def norm(w: Weights, name: str, x: tf.Tensor) -> tf.Tensor:
    mean = tf.reduce_mean(x, -1, keepdims=True)
    variance = tf.reduce_mean((x - mean) ** 2, -1, keepdims=True)
    return (x - mean) / tf.sqrt(variance + 1e-6) * w[f"{name}/gamma"] + w[f"{name}/beta"]


def dense(w: Weights, name: str, x: tf.Tensor) -> tf.Tensor:
    return tf.tensordot(x, w[f"{name}/kernel"], 1) + w[f"{name}/bias"]


def gelu(x: tf.Tensor) -> tf.Tensor:
    return 0.5 * x * (1 + tf.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def attention_weights(w: Weights, name: str, x: tf.Tensor, y: tf.Tensor, shown: tf.Tensor | None) -> tf.Tensor:
    query, key = (
        tf.einsum("nlw,whd->nhld", given, w[f"{name}/{part}/kernel"]) + w[f"{name}/{part}/bias"][:, None]
        for given, part in ((x, "query"), (y, "key"))
    )
    scores = tf.einsum("nhld,nhmd->nhlm", query, key) / np.sqrt(query.shape[-1])
    if shown is not None:
        scores = tf.where(shown[:, None, None], scores, -np.inf)
    return tf.nn.softmax(scores)


def attend(w: Weights, name: str, x: tf.Tensor, y: tf.Tensor, shown: tf.Tensor | None) -> tf.Tensor:
    value = tf.einsum("nmw,whd->nhmd", y, w[f"{name}/value/kernel"]) + w[f"{name}/value/bias"][:, None]
    mixed = tf.einsum("nhlm,nhmd->nlhd", attention_weights(w, name, x, y, shown), value)
    kernel, bias = w[f"{name}/attention_output/kernel"], w[f"{name}/attention_output/bias"]
    return tf.einsum("nlhd,hdw->nlw", mixed, kernel) + bias


def block(w: Weights, name: str, x: tf.Tensor, context=None, shown=None, context_shown=None) -> tf.Tensor:
    normed = norm(w, f"{name}/attention_norm", x)
    x = x + attend(w, f"{name}/attention", normed, normed, shown)
    if context is not None:
        x = x + attend(w, f"{name}/cross_attention", norm(w, f"{name}/cross_norm", x), context, context_shown)
    hidden = gelu(dense(w, f"{name}/mlp/expand", norm(w, f"{name}/mlp_norm", x)))
    return x + dense(w, f"{name}/mlp/project", hidden)


def blocks(w: Weights, name: str, x: tf.Tensor, **given: object) -> tf.Tensor:
    depth = len({key.split("/")[1] for key in w if key.startswith(f"{name}/block_")})
    for number in range(depth):
        x = block(w, f"{name}/block_{number}", x, **given)
    return norm(w, f"{name}/norm", x)


def patches_of(images: np.ndarray) -> np.ndarray:
    """[B, P, PATCH, PATCH, 3], row by row."""
    starts = range(0, images.shape[1], PATCH)
    return np.stack([images[:, y : y + PATCH, x : x + PATCH] for y in starts for x in starts], axis=1)


def image_tokens(w: Weights, prefix: str, images: np.ndarray, masked: np.ndarray | None = None) -> tf.Tensor:
    name = f"{prefix}image_tower"
    tokens = tf.tensordot(patches_of(images), w[f"{name}/patch_embedding/kernel"], 3)
    tokens += w[f"{name}/patch_embedding/bias"]
    if masked is not None:
        tokens = tf.where(masked[..., None], w["training/image_mask"], tokens)
    first = tf.repeat(w[f"{name}/class_token"], len(images), axis=0)
    tokens = tf.concat([first, tokens], axis=1) + w[f"{name}/position_embedding"]
    # The encoder of the image tower has blocks of the same names, without cross-attention.
    return blocks(w, f"{name}/encoder", tokens)


def embed(w: Weights, prefix: str, ids: np.ndarray, hidden: np.ndarray | None = None) -> tf.Tensor:
    name = f"{prefix}fusion"
    words = tf.gather(w[f"{name}/token_embedding/embeddings"], ids)
    if hidden is not None:
        words = tf.where(hidden[..., None], w["training/text_mask"], words)
    tokens = tf.concat([tf.repeat(w[f"{name}/class_token"], len(ids), axis=0), words], axis=1)
    return norm(w, f"{name}/embedding_norm", tokens + w[f"{name}/position_embedding"])


def shown(ids: np.ndarray) -> np.ndarray:
    return np.concatenate([np.ones((len(ids), 1), bool), ids != PAD], axis=1)


def unit(x: tf.Tensor) -> tf.Tensor:
    return x / tf.sqrt(tf.reduce_sum(x * x, -1, keepdims=True))


def cross_entropy(logits: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    return -tf.reduce_sum(tf.stop_gradient(targets) * tf.nn.log_softmax(logits), axis=-1)


def codes_of(images: np.ndarray, centres: np.ndarray) -> np.ndarray:
    flat = patches_of(images).reshape(len(images), -1, 3 * PATCH * PATCH)
    mean = flat.mean(-1, keepdims=True)
    vectors = (flat - mean) / np.sqrt(flat.var(-1, keepdims=True) + 1e-4)
    vectors = np.concatenate([vectors, mean * np.sqrt(flat.shape[-1])], axis=-1)
    return np.square(vectors[:, :, None] - centres).sum(-1).argmin(-1)


def itc(w: Weights, images: np.ndarray, ids: np.ndarray, planted: Planted) -> tf.Tensor:
    found = {}
    for prefix in ("", "momentum_"):
        text = blocks(w, f"{prefix}fusion", embed(w, prefix, ids), shown=shown(ids))
        outputs = {"image": image_tokens(w, prefix, images)[:, 0], "text": text[:, 0]}
        found[prefix] = {m: unit(dense(w, f"{prefix}{m}_projection", outputs[m])) for m in MODALITIES}
    total = 0.0
    for own, other in (MODALITIES, MODALITIES[::-1]):
        keys = tf.concat([found["momentum_"][other], planted.queues[other]], axis=0)
        logits, soft = (tf.matmul(found[p][own], keys, transpose_b=True) / w["temperature"] for p in ("", "momentum_"))
        hard = tf.eye(len(ids), keys.shape[0], dtype=tf.float64)
        targets = (1 - planted.alpha) * hard + planted.alpha * tf.nn.softmax(tf.stop_gradient(soft))
        total += tf.reduce_mean(cross_entropy(logits, targets)) / 2
    return total


def multimodal(w: Weights, prefix: str, ids: np.ndarray, tokens: tf.Tensor, embedded: tf.Tensor) -> tf.Tensor:
    return blocks(w, f"{prefix}fusion", embedded, context=tokens, shown=shown(ids))


def itm(w: Weights, images: np.ndarray, ids: np.ndarray, planted: Planted) -> tf.Tensor:
    tokens = image_tokens(w, "", images)
    pairs = [(ids, tokens, 1, np.ones(len(ids)))]
    pairs += [(ids, tf.gather(tokens, planted.picture), 0, planted.fits)]
    pairs += [(ids[planted.text], tokens, 0, planted.fits)]
    total, count = 0.0, 0.0
    for texts, pictures, label, weights in pairs:
        logits = dense(w, "itm_head", multimodal(w, "", texts, pictures, embed(w, "", texts))[:, 0])
        total += tf.reduce_sum(-tf.nn.log_softmax(logits)[:, label] * np.float64(weights))
        count += weights.sum()
    return total / count


def distilled(w: Weights, name: str, tokens: dict[str, tf.Tensor], labels: np.ndarray, alpha: float) -> tf.Tensor:
    """Cross-entropy of every token, with targets of the copy's tokens."""
    logits, soft = (dense(w, f"{prefix}{name}_head", tokens[prefix]) for prefix in ("", "momentum_"))
    hard = tf.one_hot(labels, logits.shape[-1], dtype=tf.float64)
    return cross_entropy(logits, (1 - alpha) * hard + alpha * tf.nn.softmax(soft))


def mlm(w: Weights, images: np.ndarray, ids: np.ndarray, planted: Planted) -> tf.Tensor:
    tokens = {}
    for prefix in ("", "momentum_"):
        embedded = embed(w, prefix, planted.shown_ids, planted.hidden)
        tokens[prefix] = multimodal(w, prefix, ids, image_tokens(w, prefix, images), embedded)[:, 1:]
    losses = distilled(w, "mlm", tokens, ids, planted.alpha)
    return tf.reduce_sum(losses * planted.word_places) / planted.word_places.sum()


def mim(w: Weights, images: np.ndarray, ids: np.ndarray, planted: Planted) -> tf.Tensor:
    tokens = {}
    for prefix in ("", "momentum_"):
        queries = image_tokens(w, prefix, images, planted.patches)
        told = blocks(w, f"{prefix}fusion", queries, context=embed(w, prefix, ids), context_shown=shown(ids))
        tokens[prefix] = told[:, 1:]
    codes = codes_of(images, w["training/centres"].numpy()[: CODES - 1])
    losses = distilled(w, "mim", tokens, codes, planted.alpha)
    return tf.reduce_sum(losses * planted.patches) / planted.patches.sum()


def psl(w: Weights, images: np.ndarray, ids: np.ndarray, planted: Planted) -> tf.Tensor:
    logits, soft = (dense(w, f"{p}psl_head", image_tokens(w, p, images)[:, 0]) for p in ("", "momentum_"))
    hard = np.zeros(logits.shape)
    for row, place in zip(*np.nonzero(planted.keywords), strict=True):
        hard[row, ids[row, place]] = 1
    targets = tf.stop_gradient((1 - planted.alpha) * hard + planted.alpha * tf.sigmoid(soft))
    losses = -targets * tf.math.log_sigmoid(logits) - (1 - targets) * tf.math.log_sigmoid(-logits)
    return tf.reduce_mean(losses)


def class_attention(w: Weights, images: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The copy's attention of the class token to the words in the last block, [B, heads, L]."""
    tokens, x = image_tokens(w, "momentum_", images), embed(w, "momentum_", ids)
    x = block(w, "momentum_fusion/block_0", x, tokens, shown(ids))
    name = "momentum_fusion/block_1"  # the last
    normed = norm(w, f"{name}/attention_norm", x)
    weights = attention_weights(w, f"{name}/attention", normed, normed, shown(ids))
    assert weights.shape[1] == HEADS
    return weights[:, :, 0, 1:].numpy()


def cross_attention(w: Weights, images: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The attention of the words to the patches in the last block, [B, heads, L, P]."""
    tokens, x = image_tokens(w, "", images), embed(w, "", ids)
    x = block(w, "fusion/block_0", x, tokens, shown(ids))
    name = "fusion/block_1"  # the last
    normed = norm(w, f"{name}/attention_norm", x)
    x = x + attend(w, f"{name}/attention", normed, normed, shown(ids))
    query = norm(w, f"{name}/cross_norm", x)
    return attention_weights(w, f"{name}/cross_attention", query, tokens, None)[:, :, 1:, 1:].numpy()


LOSSES = {"itc": itc, "itm": itm, "mlm": mlm, "mim": mim, "psl": psl}


def loss(config: settings.SimlaSettings, w: Weights, images, ids, planted: Planted) -> tf.Tensor:
    on = [name for name in LOSSES if getattr(config, name)]
    return sum(getattr(config, name) * LOSSES[name](w, images, ids, planted) for name in on)
