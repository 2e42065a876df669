"""Rematerialised encoders against the plain one: outputs, gradients, and the size of the program that XLA gets."""

import functools
import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from models import settings
from models.settings.runtime import REMATERIALIZED
from models.towers import rematerialization
from models.towers.transformer import Encoder

LENGTH, WIDTH = 5, 8


def encoder(remat: str, depth: int = 3, dtype: str = "float64", causal: bool = False) -> Encoder:
    """An encoder with weights that depend on its depth alone."""
    config = settings.ImageTowerSettings(size=8, patch=4, width=WIDTH, depth=depth, heads=2, mlp_dim=16)
    made = Encoder(config, remat, causal, dtype=dtype)
    for layer in made._flatten_layers():
        layer._set_dtype_policy(dtype)
    made(inputs(dtype))
    rng = np.random.default_rng(0)
    for variable in made.variables:
        variable.assign(rng.normal(size=variable.shape) / 3)
    return made


def inputs(dtype: str = "float64") -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).normal(size=[2, LENGTH, WIDTH]), dtype)


def differentiated(made: Encoder) -> tf.types.experimental.PolymorphicFunction:
    """A compiled function of the input: its output, and the gradients by the input and by each weight."""

    @tf.function(jit_compile=True, autograph=False)
    def run(given: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(given)
            outputs = made(given, training=True)
            loss = tf.reduce_sum(tf.square(outputs) * tf.range(1, WIDTH + 1, dtype=outputs.dtype))
        return [outputs, *tape.gradient(loss, [given, *made.trainable_variables])]

    return run


@functools.cache
def plain(causal: bool) -> list[tf.Tensor]:
    """What `differentiated` gives for the encoder that keeps everything."""
    return differentiated(encoder("nothing", causal=causal))(inputs())


def difference(made: Encoder, causal: bool = False) -> float:
    """The largest relative difference of a tensor from the plain encoder's.

    The gradient by a key's bias is rounding alone, so 1e-2 is the least that a tensor is compared with.
    """
    pairs = zip(differentiated(made)(inputs()), plain(causal), strict=True)
    return max(float(tf.reduce_max(tf.abs(a - b)) / max(tf.reduce_max(tf.abs(b)), 1e-2)) for a, b in pairs)


ALSO_CAUSAL = ("attention", "scan")  # the others compute attention in the same way


@pytest.mark.parametrize(
    ("remat", "causal"),
    [
        pytest.param(remat, causal, marks=[] if not causal or remat in ALSO_CAUSAL else pytest.mark.slow)
        for remat in REMATERIALIZED[1:]
        for causal in (False, True)
    ],
)
def test_outputs_and_all_gradients_are_those_of_the_plain_encoder(remat, causal):
    assert difference(encoder(remat, causal=causal), causal) < 1e-12


def test_control_blocks_in_another_order_differ():
    turned = encoder("scan")
    turned.blocks.reverse()
    assert difference(turned) > 1e-3


def test_control_pieces_that_return_in_another_order_differ(monkeypatch):
    whole = rematerialization._BlockOfScan._whole
    monkeypatch.setattr(rematerialization._BlockOfScan, "_whole", lambda self, one: whole(self, one)[::-1])
    assert difference(encoder("pieces")) > 1e-3


@pytest.mark.parametrize(("rows", "pieces"), [(8, 4), (6, 3), (2, 2), (5, 1), (None, 1)])
def test_the_pieces_divide_the_rows(rows, pieces):
    assert rematerialization._pieces(tf.TensorSpec([rows, LENGTH, WIDTH]), 4) == pieces


def test_the_program_of_a_scan_does_not_grow_with_the_depth():
    def products(remat: str, depth: int) -> int:
        hlo = differentiated(encoder(remat, depth, "float32")).experimental_get_compiler_ir(inputs("float32"))("hlo")
        return len(re.findall(r" dot\(", hlo))

    assert products("scan", 1) == products("scan", 3)
    assert products("block", 3) == 3 * products("block", 1)


def test_a_scan_leaves_the_weights_of_its_first_block_in_place():
    made = encoder("scan")
    before = [id(variable) for variable in made.trainable_variables]
    differentiated(made)(inputs())
    assert [id(variable) for variable in made.trainable_variables] == before
    assert all(isinstance(weight, tf.Variable) for weight in (made.blocks[0].mlp.expand.kernel, made.norm.gamma))


def test_weights_return_when_the_block_fails():
    block = keras.layers.Dense(2)
    block.build((None, 2))
    kernel = block.kernel
    with pytest.raises(ZeroDivisionError), rematerialization._weights(block, [tf.zeros([2, 2]), tf.zeros([2])]):
        raise ZeroDivisionError
    assert block.kernel is kernel
