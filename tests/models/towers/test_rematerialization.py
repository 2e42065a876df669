"""Rematerialised encoders against the plain one: outputs, gradients, and the size of the program that XLA gets."""

import functools
import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from models import settings
from models.settings.runtime import REMATERIALIZED
from models.towers import pieces, scan
from models.towers.fusion import Fusion
from models.towers.image_tower import ImageTower
from models.towers.precision import layers_with_policy
from models.towers.transformer import Encoder

LENGTH, WIDTH = 5, 8


def drawn(made: keras.layers.Layer) -> keras.layers.Layer:
    """The layer, with weights that depend on their shapes alone."""
    rng = np.random.default_rng(0)
    for variable in made.variables:
        variable.assign(rng.normal(size=variable.shape) / 3)
    return made


def encoder(remat: str, depth: int = 3, dtype: str = "float64", causal: bool = False) -> Encoder:
    """An encoder with weights that depend on its depth alone."""
    config = settings.ImageTowerSettings(size=8, patch=4, width=WIDTH, depth=depth, heads=2, mlp_dim=16)
    made = Encoder(config, remat, causal, dtype=dtype)
    for layer in made._flatten_layers():
        layer._set_dtype_policy(dtype)
    made(inputs(dtype))
    return drawn(made)


def inputs(dtype: str = "float64") -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).normal(size=[2, LENGTH, WIDTH]), dtype)


def multimodal(remat: str) -> Callable[..., tf.Tensor]:
    """The multimodal pass of a fusion in float64, as a function of the image tokens."""
    with layers_with_policy("float64"):
        made = Fusion(settings.TextTowerSettings(length=4, width=WIDTH, depth=1, heads=2, mlp_dim=16), 9, remat)
        ids = tf.constant([[3, 4, 0, 1], [5, 6, 7, 0]])  # a word of padding, 1
        made(ids)
    drawn(made)

    def encoded(image_tokens: tf.Tensor, training: bool) -> tf.Tensor:
        return made.multimodal(made.embed(ids), made.seen(ids), image_tokens, training)

    encoded.trainable_variables = made.trainable_variables
    return encoded


def differentiated(made: Callable[..., tf.Tensor]) -> tf.types.experimental.PolymorphicFunction:
    """A compiled function of the input: its output, and the gradients by the input and by each weight."""

    @tf.function(jit_compile=True, autograph=False)
    def run(given: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(given)
            outputs = made(given, training=True)
            loss = tf.reduce_sum(tf.square(outputs) * tf.range(1, WIDTH + 1, dtype=outputs.dtype))
        return [outputs, *map(tf.convert_to_tensor, tape.gradient(loss, [given, *made.trainable_variables]))]

    return run


@functools.cache
def plain(causal: bool) -> list[tf.Tensor]:
    """What `differentiated` gives for the encoder that keeps everything."""
    return differentiated(encoder("nothing", causal=causal))(inputs())


def difference(made: Encoder, causal: bool = False) -> float:
    """The largest relative difference of a tensor from the plain encoder's."""
    return largest_difference(differentiated(made)(inputs()), plain(causal))


def largest_difference(found: Sequence[tf.Tensor], right: Sequence[tf.Tensor]) -> float:
    """The largest relative difference of a tensor.

    The gradient by a key's bias is rounding alone, so 1e-2 is the least that a tensor is compared with.
    """
    pairs = zip(found, right, strict=True)
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
    whole = pieces.LayerInPieces._whole
    monkeypatch.setattr(pieces.LayerInPieces, "_whole", lambda self, one: whole(self, one)[::-1])
    assert difference(encoder("pieces")) > 1e-3


@pytest.mark.parametrize("depth", [4, *(pytest.param(one, marks=pytest.mark.slow) for one in (3, 5))])
def test_gradients_are_right_if_every_second_third_or_each_block_input_is_kept(depth):
    """Three blocks are one group of three, four are two of two, and five are five of one."""
    assert [scan._stride(depth, 3), scan._stride(depth, 1)] == [{4: 2, 5: 1, 3: 3}[depth], 1]
    expected = differentiated(encoder("nothing", depth))(inputs())
    assert largest_difference(differentiated(encoder("pieces", depth))(inputs()), expected) < 1e-12


def test_control_gradients_at_the_input_of_the_group_in_place_of_the_block_s_differ(monkeypatch):
    repeated = lambda self, _, hidden: tf.stack([hidden] * self.stride)  # noqa: E731
    monkeypatch.setattr(scan._Passes, "_block_inputs", repeated)
    assert difference(encoder("pieces")) > 1e-3


def image_tower(remat: str) -> ImageTower:
    """With a MAP head, in float64."""
    config = settings.ImageTowerSettings(size=8, patch=4, width=WIDTH, depth=2, heads=2, mlp_dim=16)
    with layers_with_policy("float64"):
        made = ImageTower(config, remat)
        made(PICTURES)
    return drawn(made)


PICTURES = tf.constant(np.random.default_rng(2).uniform(-1, 1, [4, 8, 8, 3]))


def test_the_map_head_takes_the_rows_in_pieces_and_gives_the_same(monkeypatch):
    expected, made = differentiated(image_tower("nothing"))(PICTURES), differentiated(image_tower("pieces"))
    assert largest_difference(made(PICTURES), expected) < 1e-12
    whole = pieces.LayerInPieces._whole  # control
    monkeypatch.setattr(pieces.LayerInPieces, "_whole", lambda self, one: whole(self, one)[::-1])
    assert largest_difference(differentiated(image_tower("pieces"))(PICTURES), expected) > 1e-3


@pytest.mark.parametrize(("rows", "count"), [(8, 4), (6, 3), (2, 2), (5, 1), (None, 1)])
def test_the_pieces_divide_the_rows(rows, count):
    assert pieces.count(tf.TensorSpec([rows, LENGTH, WIDTH]), 4) == count


def products(run: tf.types.experimental.PolymorphicFunction, dtype: str) -> int:
    """The number of matrix products in the program that XLA gets."""
    return len(re.findall(r" dot\(", run.experimental_get_compiler_ir(inputs(dtype))("hlo")))


def test_the_program_of_a_scan_does_not_grow_with_the_depth():
    def of(remat: str, depth: int) -> int:
        return products(differentiated(encoder(remat, depth, "float32")), "float32")

    assert of("scan", 1) == of("scan", 3)
    assert of("block", 3) == 3 * of("block", 1)


@functools.cache
def fused(remat: str) -> tf.types.experimental.PolymorphicFunction:
    return differentiated(multimodal(remat))


@pytest.mark.parametrize(
    "remat", ["block", *(pytest.param(name, marks=pytest.mark.slow) for name in ("scan", "pieces"))]
)
def test_a_fusion_computes_its_blocks_again_and_gives_the_same(remat):
    """All three do the same: the blocks of a fusion are in no loop."""
    plain_products = products(fused("nothing"), "float64")
    assert products(fused(remat), "float64") == products(fused("block"), "float64") > 1.2 * plain_products
    assert largest_difference(fused(remat)(inputs()), fused("nothing")(inputs())) < 1e-12


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
    with pytest.raises(ZeroDivisionError), pieces._weights(block, [tf.zeros([2, 2]), tf.zeros([2])]):
        raise ZeroDivisionError
    assert block.kernel is kernel
