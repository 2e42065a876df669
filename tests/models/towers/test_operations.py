"""Operations with gradients of their own equal TensorFlow's, as operations and as parts that XLA compiles."""

import math

import numpy as np
import pytest
import tensorflow as tf

from models import compilation
from models.towers import operations

_RNG = np.random.default_rng(0)


def draw(*shape: int) -> tf.Tensor:
    return tf.constant(_RNG.normal(size=shape) * 2.0)


def _plain_layer_norm(x, scale, offset):
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    return (x - mean) / tf.sqrt(variance + 1e-6) * scale + offset


def _plain_gelu_tanh(x):  # tf.nn.gelu has its constants in float32
    return 0.5 * x * (1.0 + tf.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _plain_gelu(x):
    return 0.5 * x * (1.0 + tf.math.erf(x / math.sqrt(2.0)))


_KEY_MASK = tf.constant([[True, False, True, True, False], [True] * 5])


def _plain_attention(queries, keys, values, causal, key_mask=None):
    scores = tf.einsum("nhld,nhmd->nhlm", queries, keys) / math.sqrt(queries.shape[-1])
    if causal:
        allowed = np.tril(np.ones(scores.shape[-2:], bool))
        scores = tf.where(allowed, scores, -1e30)
    if key_mask is not None:
        scores = tf.where(key_mask[:, None, None], scores, -1e30)
    return tf.einsum("nhlm,nhmd->nhld", tf.nn.softmax(scores), values)


_ATTENTION = [draw(2, 3, 5, 4), draw(2, 3, 5, 4), draw(2, 3, 5, 4)]
CASES = {
    "layer_norm": (
        lambda *inputs: operations.layer_norm(*inputs, 1e-6), _plain_layer_norm, [draw(3, 5, 8), draw(8), draw(8)],
    ),
    "gelu_tanh": (operations.gelu_tanh, _plain_gelu_tanh, [draw(3, 5)]),
    "gelu": (operations.gelu, _plain_gelu, [draw(3, 5)]),
    "quick_gelu": (operations.quick_gelu, lambda x: x * tf.sigmoid(1.702 * x), [draw(3, 5)]),
    "attention": (operations.attend, lambda *inputs: _plain_attention(*inputs, causal=False), _ATTENTION),
    "causal attention": (
        lambda *inputs: operations.attend(*inputs, causal=True),
        lambda *inputs: _plain_attention(*inputs, causal=True), _ATTENTION,
    ),
    "attention to a part of the keys": (
        lambda *inputs: operations.attend(*inputs, key_mask=_KEY_MASK),
        lambda *inputs: _plain_attention(*inputs, causal=False, key_mask=_KEY_MASK), _ATTENTION,
    ),
    "attention with heads of three channels": (
        operations.attend, lambda *inputs: _plain_attention(*inputs, causal=False),
        [draw(2, 2, 4, 3) for _ in range(3)],
    ),
    "attention to a context": (
        operations.attend, lambda *inputs: _plain_attention(*inputs, causal=False),
        [draw(2, 3, 1, 4), draw(2, 3, 7, 4), draw(2, 3, 7, 4)],
    ),
}  # fmt: skip


def value_and_gradients(function, inputs):
    weights = tf.cast(tf.range(1, 1 + tf.size(function(*inputs))), tf.float64)

    @tf.function(autograph=False)
    def run(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            output = function(*inputs)
            score = tf.reduce_sum(weights * tf.reshape(output, [-1]))
        return output, tape.gradient(score, inputs)

    output, gradients = run(*inputs)
    return [output.numpy(), *(gradient.numpy() for gradient in gradients)]


@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_equal_those_of_tensorflow(name, in_parts):
    ours, plain, inputs = CASES[name]
    wanted = value_and_gradients(plain, inputs)
    if in_parts:
        with compilation.in_parts():
            found = value_and_gradients(ours, inputs)
    else:
        found = value_and_gradients(ours, inputs)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_control_another_activation_has_another_gradient():
    (_, plain, inputs), (ours, _, _) = CASES["gelu"], CASES["gelu_tanh"]
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(value_and_gradients(ours, inputs)[1], value_and_gradients(plain, inputs)[1], 1e-6)
