"""The encoder with a key mask and a context, and without them, where every bit is what it was before they existed."""

import numpy as np
import pytest
import tensorflow as tf

from models import settings
from models.towers import flops, operations, rematerialization
from models.towers.operations import _softmax_gradient
from models.towers.transformer import Encoder

LENGTH, OTHERS, WIDTH, DEPTH = 5, 3, 8, 2
CONFIG = settings.ImageTowerSettings(size=8, patch=4, width=WIDTH, depth=DEPTH, heads=2, mlp_dim=16)
MASK = tf.constant([[True, True, True, False, False], [True, False, True, True, True]])
NAMES = [
    *[f"attention/{part}/{kind}:0" for part in ("query", "key", "value") for kind in ("kernel", "bias")],
    *[f"attention/attention_output/{kind}:0" for kind in ("kernel", "bias")],
    *[f"{norm}/{kind}:0" for norm in ("attention_norm", "mlp_norm") for kind in ("gamma", "beta")],
    *[f"mlp/{part}/{kind}:0" for part in ("expand", "project") for kind in ("kernel", "bias")],
]


def encoder(remat: str = "nothing", dtype: str = "float64") -> Encoder:
    made = Encoder(CONFIG, remat, dtype=dtype, name="encoder")
    for layer in made._flatten_layers():
        layer._set_dtype_policy(dtype)
    made(draw(0, LENGTH, dtype))
    rng = np.random.default_rng(0)
    for variable in made.variables:
        variable.assign(rng.normal(size=variable.shape) / 3)
    return made


def draw(seed: int, length: int, dtype: str = "float64") -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).normal(size=[2, length, WIDTH]), dtype)


def former_attend(queries: tf.Tensor, keys: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Attention as it was before key masks."""

    @tf.custom_gradient
    def attended(queries: tf.Tensor, keys: tf.Tensor, values: tf.Tensor) -> tuple[tf.Tensor, object]:
        root = tf.cast(queries.shape[-1] ** -0.5, queries.dtype)
        weights = tf.nn.softmax(tf.matmul(queries, keys, transpose_b=True) * root)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
            by_scores = _softmax_gradient(tf.matmul(upstream, values, transpose_b=True), weights, root)
            by_keys = tf.matmul(by_scores, queries, transpose_a=True)
            return tf.matmul(by_scores, keys), by_keys, tf.matmul(weights, upstream, transpose_a=True)

        return tf.matmul(weights, values), gradient

    return attended(queries, keys, values)


def former_encoder(made: Encoder, hidden: tf.Tensor) -> tf.Tensor:
    """The encoder as it was before key masks and contexts, with the weights of `made`."""
    for block in made.blocks:
        attention, normed = block.attention, block.attention_norm(hidden)
        query, key, value = attention._project(normed, attention.query, attention.key, attention.value)
        attended = tf.transpose(former_attend(query, key, value), [0, 2, 1, 3])
        kernel = tf.reshape(attention.attention_output.kernel, [WIDTH, WIDTH])
        flat = tf.matmul(tf.reshape(attended, [-1, WIDTH]), kernel)
        flat = tf.nn.bias_add(flat, tf.cast(attention.attention_output.bias, flat.dtype))
        hidden = hidden + tf.reshape(flat, tf.shape(hidden))
        hidden = hidden + block.mlp(block.mlp_norm(hidden))
    return made.norm(hidden)


def gradients(function, made: Encoder, *inputs: tf.Tensor, compiled: bool = False) -> list[np.ndarray]:
    """Outputs, and the gradients of a sum of them by each input and each weight."""

    def run(*inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = tf.nest.flatten(function(*inputs))
            loss = sum(
                tf.reduce_sum(tf.square(one) * tf.range(k + 1, k + 1 + WIDTH, delta=1, dtype=one.dtype))
                for k, one in enumerate(map(tf.convert_to_tensor, outputs))
            )
        return [*outputs, *tape.gradient(loss, [*inputs, *made.trainable_variables])]

    compute = tf.function(run, jit_compile=True, autograph=False) if compiled else run
    return [one.numpy() for one in compute(*inputs)]


def largest_difference(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    """Relative to each tensor; the gradient by a key's bias is 0, so rounding alone."""
    return max(np.abs(a - b).max() / max(np.abs(b).max(), 1e-2) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("dtype", "remat"),
    [("float32", "nothing"), ("float64", "nothing"), ("float64", "attention"), ("float64", "block")],
)
def test_without_mask_and_context_every_bit_and_every_name_is_as_before(dtype, remat, monkeypatch):
    """Rematerialised, it runs eagerly here, where the barrier, which only XLA has, changes nothing and is counted."""
    passed = []
    for module in (rematerialization, operations):
        monkeypatch.setattr(module, "barrier", lambda *tensors: passed.append(1) or list(tensors))
    made, tokens = encoder(remat, dtype), draw(1, LENGTH, dtype)
    former = gradients(lambda x: former_encoder(made, x), made, tokens)
    now = gradients(lambda x: made(x, training=True), made, tokens)
    assert all(np.array_equal(a, b) for a, b in zip(now, former, strict=True))
    assert len(passed) == (0 if remat == "nothing" else DEPTH)
    names = [f"encoder/block_{i}/{name}" for i in range(DEPTH) for name in NAMES]
    assert sorted(v.name for v in made.variables) == sorted([*names, "encoder/norm/gamma:0", "encoder/norm/beta:0"])
    masked = gradients(lambda x: made(x, training=True, key_mask=MASK), made, tokens)
    assert not all(np.array_equal(a, b) for a, b in zip(masked, former, strict=True))


def test_a_masked_sequence_is_encoded_as_the_shorter_one():
    made, tokens = encoder(), draw(1, LENGTH)
    whole = made(tokens, key_mask=MASK).numpy()
    short = made(tokens[:1, :3]).numpy()
    np.testing.assert_allclose(whole[:1, :3], short, atol=1e-12)
    assert np.abs(made(tokens).numpy()[:1, :3] - short).max() > 1e-3  # control: padding unmasked


def test_masked_keys_get_no_gradient_and_change_nothing():
    made, tokens = encoder(), draw(1, LENGTH)
    with tf.GradientTape() as tape:
        tape.watch(tokens)
        seen = tf.reduce_sum(tf.square(made(tokens, key_mask=MASK)[0, :3]))
    by_tokens = tape.gradient(seen, tokens).numpy()
    assert (by_tokens[0, 3:] == 0).all()
    assert (by_tokens[0, :3] != 0).any()


def test_the_own_hidden_tokens_as_context_change_nothing():
    made, tokens = encoder(), draw(1, LENGTH)
    plain, hidden = made(tokens, key_mask=MASK, gives_hidden=True)
    assert [one.shape for one in hidden] == [tokens.shape] * DEPTH
    np.testing.assert_array_equal(hidden[0], tokens)
    np.testing.assert_allclose(made(tokens, key_mask=MASK, context=hidden), plain, atol=1e-12)
    shifted = [*hidden[1:], hidden[0]]  # control: tokens of another depth
    assert np.abs(made(tokens, key_mask=MASK, context=shifted).numpy() - plain.numpy()).max() > 1e-3


def test_a_context_gives_keys_and_values_of_each_block():
    made, tokens, others = encoder(), draw(1, LENGTH), [draw(2, OTHERS), draw(3, OTHERS)]
    hidden, mask = tokens.numpy(), np.array([[True, True, False], [True, True, True]])
    for block, context in zip(made.blocks, others, strict=True):
        attention = block.attention
        query, key, value = (
            np.einsum("nlw,whd->nhld", sequence, one.kernel.numpy()) + one.bias.numpy()[None, :, None]
            for sequence, one in [
                (block.attention_norm(hidden).numpy(), attention.query),
                (block.attention_norm(context).numpy(), attention.key),
                (block.attention_norm(context).numpy(), attention.value),
            ]
        )
        scores = np.exp(np.einsum("nhld,nhmd->nhlm", query, key) / np.sqrt(WIDTH / 2)) * mask[:, None, None]
        attended = np.einsum("nhlm,nhmd->nlhd", scores / scores.sum(-1, keepdims=True), value)
        output = attention.attention_output
        hidden = hidden + np.einsum("nlhd,hdw->nlw", attended, output.kernel.numpy()) + output.bias.numpy()
        hidden = hidden + block.mlp(block.mlp_norm(hidden)).numpy()
    got = made(tokens, key_mask=tf.constant(mask), context=others)
    np.testing.assert_allclose(got, made.norm(hidden), atol=1e-12)
    assert np.abs(made(tokens, context=others).numpy() - got.numpy()).max() > 1e-3  # control: all keys seen


def crossed(made: Encoder):
    """A function of two sequences: each alone, and the first over the hidden tokens of the second."""

    def run(one: tf.Tensor, other: tf.Tensor) -> tuple[object, ...]:
        mask = MASK[:, :OTHERS]
        encoded, hidden = made(other, training=True, key_mask=mask, gives_hidden=True)
        both = made.cross(one, other, other_mask=mask, training=made.remat != "scan" or not tf.executing_eagerly())
        return encoded, hidden[1], made(one, training=True, key_mask=mask, context=hidden), *both

    return run


@pytest.mark.parametrize(
    ("remat", "compiled"),
    [
        ("scan", False),
        ("pieces", False),
        *[pytest.param(remat, True, marks=pytest.mark.slow) for remat in ("attention", "block", "scan", "pieces")],
    ],
)
def test_rematerialised_passes_with_mask_and_context_equal_the_plain_ones(remat, compiled):
    inputs = draw(1, LENGTH), draw(2, OTHERS)
    plain, made = encoder(), encoder(remat)
    wanted = gradients(crossed(plain), plain, *inputs)
    assert largest_difference(gradients(crossed(made), made, *inputs, compiled=compiled), wanted) < 1e-11
    made.blocks.reverse()
    if not compiled:  # control: blocks in another order
        assert largest_difference(gradients(crossed(made), made, *inputs), wanted) > 1e-3


def test_flops_count_masked_keys_and_the_context():
    block = settings.ImageTowerSettings(size=8, patch=4, width=4, depth=1, heads=1, mlp_dim=8)
    # By hand, 5 queries and 3 keys: query and output 2 x 5 x 2 x 16, key and value 2 x 3 x 2 x 16, MLP 2 x 5 x 2 x 32,
    # scores and weighted values 2 x 2 x 5 x 3 x 4.
    assert flops.transformer(block, 5, 3) == 320 + 192 + 640 + 240
    assert flops.transformer(block, 5) == flops.transformer(block, 5, 5) == 320 + 320 + 640 + 400


def test_a_weight_of_a_masked_key_is_exactly_zero_in_half_precision():
    queries, keys = (tf.cast(tf.reshape(one, [2, 1, LENGTH, WIDTH]), tf.bfloat16) for one in (draw(1, 5), draw(2, 5)))
    values = tf.where(MASK[:, None, :, None], tf.ones_like(keys), keys.dtype.max)
    attended = operations.attend(queries, keys, values, key_mask=MASK)
    np.testing.assert_allclose(tf.cast(attended, tf.float32), 1.0, atol=2e-2)
