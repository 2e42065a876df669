"""Operations of the towers with gradients of their own. Each is a part that XLA can compile (models/compilation.py)."""

import math
from collections.abc import Callable

import tensorflow as tf

from models.compilation import part
from models.towers.rematerialization import barrier

_CUBIC = 0.044715
_ROOT = math.sqrt(2 / math.pi)


def layer_norm(inputs: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, epsilon: float) -> tf.Tensor:
    """LayerNorm over the last axis, [..., width], with scale and offset [width], in the dtype of `scale`."""

    @tf.custom_gradient
    def normed(inputs: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor) -> tuple[tf.Tensor, Callable[..., object]]:
        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return _layer_norm_gradient(upstream, inputs, scale, epsilon)

        return _layer_norm(inputs, scale, offset, epsilon), gradient

    return normed(inputs, scale, offset)


@part
def _layer_norm(inputs: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, epsilon: float) -> tf.Tensor:
    centred, inverse = _standardise(tf.cast(inputs, scale.dtype), epsilon)
    return tf.cast(centred * inverse * scale + offset, inputs.dtype)


@part
def _layer_norm_gradient(
    upstream: tf.Tensor, inputs: tf.Tensor, scale: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    upstream = tf.cast(upstream, scale.dtype)
    centred, inverse = _standardise(tf.cast(inputs, scale.dtype), epsilon)
    standard, scaled = centred * inverse, upstream * scale
    mean = tf.reduce_mean(scaled, axis=-1, keepdims=True)
    share = tf.reduce_mean(scaled * standard, axis=-1, keepdims=True)
    rows = list(range(inputs.shape.rank - 1))
    by_inputs = (scaled - mean - standard * share) * inverse
    by_scale, by_offset = tf.reduce_sum(upstream * standard, rows), tf.reduce_sum(upstream, rows)
    return tf.cast(by_inputs, inputs.dtype), by_scale, by_offset


def _standardise(inputs: tf.Tensor, epsilon: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the inputs minus their mean, and one over their standard deviation."""
    centred = inputs - tf.reduce_mean(inputs, axis=-1, keepdims=True)
    return centred, tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True) + epsilon)


def gelu_tanh(inputs: tf.Tensor) -> tf.Tensor:
    """GELU's approximation: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) (arXiv 1606.08415, section 2)."""
    return _elementwise(inputs, _gelu_tanh, _gelu_tanh_gradient)


def gelu(inputs: tf.Tensor) -> tf.Tensor:
    """GELU: x P(X <= x) for X ~ N(0, 1) (arXiv 1606.08415)."""
    return _elementwise(inputs, _gelu, _gelu_gradient)


def quick_gelu(inputs: tf.Tensor) -> tf.Tensor:
    """CLIP's activation: x sigmoid(1.702 x) (arXiv 1606.08415, section 2)."""
    return _elementwise(inputs, _quick_gelu, _quick_gelu_gradient)


def _elementwise(
    inputs: tf.Tensor, forward: Callable[[tf.Tensor], tf.Tensor], backward: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    @tf.custom_gradient
    def applied(inputs: tf.Tensor) -> tuple[tf.Tensor, Callable[..., object]]:
        return forward(inputs), lambda upstream: backward(upstream, inputs)

    return applied(inputs)


@part
def _gelu_tanh(x: tf.Tensor) -> tf.Tensor:
    return 0.5 * x * (1.0 + tf.tanh(_ROOT * (x + _CUBIC * x * x * x)))


@part
def _gelu_tanh_gradient(upstream: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    tanh = tf.tanh(_ROOT * (x + _CUBIC * x * x * x))
    inner = _ROOT * (1.0 + 3.0 * _CUBIC * x * x)
    return upstream * (0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * inner)


@part
def _gelu(x: tf.Tensor) -> tf.Tensor:
    return 0.5 * x * (1.0 + tf.math.erf(x * math.sqrt(0.5)))


@part
def _gelu_gradient(upstream: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    density = tf.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return upstream * (0.5 * (1.0 + tf.math.erf(x * math.sqrt(0.5))) + x * density)


@part
def _quick_gelu(x: tf.Tensor) -> tf.Tensor:
    return x * tf.sigmoid(1.702 * x)


@part
def _quick_gelu_gradient(upstream: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    share = tf.sigmoid(1.702 * x)
    return upstream * (share + 1.702 * x * share * (1.0 - share))


def attend(
    queries: tf.Tensor,
    keys: tf.Tensor,
    values: tf.Tensor,
    causal: bool = False,
    again: bool = False,
    key_mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """softmax(Q K^T / sqrt(D)) V (arXiv 1706.03762, equation 1); [N, H, L, D], [N, H, M, D] twice -> [N, H, L, D].

    With `again`, the backward pass computes the weights, [N, H, L, M], again, so that memory need not hold them. With
    `key_mask`, bool [N, M], the weight of a key is exactly 0 where it is False; each row must have a key with True.
    """

    @tf.custom_gradient
    def attended(queries: tf.Tensor, keys: tf.Tensor, values: tf.Tensor) -> tuple[tf.Tensor, Callable[..., object]]:
        root = queries.shape[-1] ** -0.5

        def attention_weights(queries: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
            return _masked_softmax(tf.matmul(queries, keys, transpose_b=True), root, causal, key_mask)

        kept = attention_weights(queries, keys)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            weights = attention_weights(*barrier(queries, keys)) if again else kept
            by_weights = tf.matmul(upstream, values, transpose_b=True)
            by_scores = _softmax_gradient(by_weights, weights, root)
            by_values = tf.matmul(weights, upstream, transpose_a=True)
            return tf.matmul(by_scores, keys), tf.matmul(by_scores, queries, transpose_a=True), by_values

        return tf.matmul(kept, values), gradient

    return attended(queries, keys, values)


@part
def _masked_softmax(scores: tf.Tensor, factor: float, causal: bool, key_mask: tf.Tensor | None) -> tf.Tensor:
    scores = scores * factor
    if causal:
        length, others = scores.shape[-2:]
        past = tf.range(others)[None, :] <= tf.range(length)[:, None]
        scores = tf.where(past, scores, scores.dtype.min)
    if key_mask is not None:
        scores = tf.where(key_mask[:, None, None, :], scores, scores.dtype.min)
    return tf.nn.softmax(scores)


@part
def _softmax_gradient(upstream: tf.Tensor, weights: tf.Tensor, factor: float) -> tf.Tensor:
    """The gradient by the scores before `factor`."""
    product = upstream * weights
    return (product - weights * tf.reduce_sum(product, axis=-1, keepdims=True)) * factor
