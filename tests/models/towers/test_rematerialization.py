"""Rematerialised encoders against the plain one: outputs, gradients, and the size of the program that XLA gets."""

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


def difference(one: Encoder, other: Encoder) -> float:
    """The largest relative difference of a tensor; the gradient by a key's bias is 0, so rounding alone."""
    pairs = zip(differentiated(one)(inputs()), differentiated(other)(inputs()), strict=True)
    return max(float(tf.reduce_max(tf.abs(a - b)) / max(tf.reduce_max(tf.abs(b)), 1e-2)) for a, b in pairs)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("remat", [one for one in REMATERIALIZED if one != "nothing"])
def test_outputs_and_all_gradients_are_those_of_the_plain_encoder(remat, causal):
    assert difference(encoder(remat, causal=causal), encoder("nothing", causal=causal)) < 1e-12


def test_control_blocks_in_another_order_differ():
    turned = encoder("scan")
    turned.blocks.reverse()
    assert difference(turned, encoder("nothing")) > 1e-3


def test_the_program_of_a_scan_does_not_grow_with_the_depth():
    def products(remat: str, depth: int) -> int:
        hlo = differentiated(encoder(remat, depth, "float32")).experimental_get_compiler_ir(inputs("float32"))("hlo")
        return len(re.findall(r" dot\(", hlo))

    assert products("scan", 2) == products("scan", 5)
    assert products("block", 5) > 2 * products("block", 2)


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
