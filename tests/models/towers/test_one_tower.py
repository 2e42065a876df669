"""The one tower: its calls against each other and against NumPy, padding, masks, and its shared weights."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from models import settings
from models.towers.one_tower import OneTower
from models.towers.precision import layers_with_policy

CONFIG = settings.OneTowerSettings(8, 2, 2, 16, size=8, patch=4, length=5, pad_id=1, projection_dim=6)
WORDS = 9
TEXTS = tf.constant([[3, 4, 5, 0, 1], [6, 0, 1, 1, 1], [7, 8, 2, 3, 0]])
PADDING = tf.ones([3, 5], tf.int32)


@pytest.fixture(scope="module")
def tower():
    return made()


def made(**changes: object) -> OneTower:
    keras.utils.set_random_seed(0)
    with layers_with_policy("float64"):
        tower = OneTower(dataclasses.replace(CONFIG, **changes), WORDS, name="tower")
        tower.build()
    rng = np.random.default_rng(0)
    for variable in tower.variables:
        variable.assign(rng.normal(size=variable.shape) / 3)
    return tower


def pictures(seed: int = 0) -> tf.Tensor:
    return tf.constant(np.random.default_rng(seed).uniform(-1, 1, [3, 8, 8, 3]))


def test_every_weight_is_one_variable_with_the_name_of_its_part(tower):
    names = {variable.name for variable in tower.variables if "encoder" not in variable.name}
    assert names == {
        f"tower/{name}:0"
        for name in ("image_positions", "text_positions", "class_token", "mask_token", "projection/kernel",
                     "patch_embedding/kernel", "patch_embedding/bias", "token_embedding/embeddings")
    }  # fmt: skip
    assert len({variable.name for variable in tower.variables}) == len(tower.variables)
    assert all(variable.name.startswith("tower/") for variable in tower.variables)


def test_no_two_weights_start_equal():
    keras.utils.set_random_seed(0)
    fresh = OneTower(CONFIG, WORDS)
    fresh.build()
    starts = [tuple(v.numpy().ravel()[:6]) for v in fresh.variables if np.unique(v.numpy()).size > 1]
    assert len(set(starts)) == len(starts)


def test_patches_and_words_become_the_tokens_of_the_formula(tower):
    images = pictures().numpy()
    kernel, bias = (one.numpy() for one in (tower.patch_embedding.kernel, tower.patch_embedding.bias))
    patches = [
        np.einsum("nhwc,hwcd->nd", images[:, y : y + 4, x : x + 4], kernel) + bias for y in (0, 4) for x in (0, 4)
    ]
    image = np.stack(patches, axis=1) + tower.image_positions.numpy()
    text = tower.token_embedding.embeddings.numpy()[TEXTS.numpy()] + tower.text_positions.numpy()
    first = np.tile(tower.class_token.numpy(), [3, 1, 1])
    pair, alone = tower.pair(pictures(), TEXTS), tower.image(pictures())
    np.testing.assert_allclose(alone.tokens, tower.encoder(np.concatenate([first, image], axis=1))[:, 1:], atol=1e-12)
    seen = tf.constant([[True] * 5 + [token != 1 for token in row] for row in TEXTS.numpy().tolist()])
    encoded = tower.encoder(np.concatenate([first, image, text], axis=1), key_mask=seen).numpy()
    projected = encoded[:, 0] @ tower.projection.kernel.numpy()
    np.testing.assert_allclose(pair.embedding, projected / np.linalg.norm(projected, axis=1)[:, None], atol=1e-12)
    np.testing.assert_allclose(pair.tokens, encoded[:, 1:], atol=1e-12)


def test_picture_and_padding_give_the_picture_alone(tower):
    alone, both = tower.image(pictures()), tower.pair(pictures(), PADDING)
    np.testing.assert_allclose(both.embedding, alone.embedding, atol=1e-12)
    np.testing.assert_allclose(both.tokens[:, :4], alone.tokens, atol=1e-12)
    unmasked = made(pad_id=2).pair(pictures(), PADDING)  # control
    assert np.abs(unmasked.embedding.numpy() - alone.embedding.numpy()).max() > 1e-3


def test_a_text_does_not_depend_on_the_length_of_its_padding(tower):
    whole = tower.text(TEXTS).embedding.numpy()
    short = tower.text(tf.constant([[6, 0, 1, 1, 1]])).embedding.numpy()
    np.testing.assert_allclose(whole[1], short[0], atol=1e-12)
    with tf.GradientTape() as tape:
        embedding = tf.reduce_sum(tower.text(TEXTS).embedding[1] * tf.range(6, dtype=tf.float64))
    by_positions = tape.gradient(embedding, tower.text_positions).numpy()[0]
    assert (by_positions[2:] == 0).all()
    assert (by_positions[:2] != 0).any()


def test_a_sequence_crossed_with_itself_is_the_pass_alone(tower):
    sequence, seen = tower._sequence(tower._words(TEXTS, None), tower._seen(TEXTS))
    alone = tower.text(TEXTS)
    for one in tower.encoder.cross(sequence, sequence, seen, seen):
        np.testing.assert_allclose(tower.projected(one[:, 0]), alone.embedding, atol=1e-12)
    over_text, over_image = tower.crossed(pictures(), TEXTS)
    image = tower.image(pictures()).embedding.numpy()
    for crossed in (over_text, over_image):
        for other in (image, alone.embedding.numpy()):
            assert np.abs(crossed.embedding.numpy() - other).max() > 1e-3


def test_crossed_passes_see_both_modalities_but_no_padding(tower):
    def of(images: tf.Tensor, texts: tf.Tensor, from_tower: OneTower = tower) -> list[np.ndarray]:
        return [one.embedding.numpy() for one in from_tower.crossed(images, texts)]

    def rows_that_differ(other: list[np.ndarray]) -> list[list[bool]]:
        return [(np.abs(a - b).max(axis=1) > 1e-6).tolist() for a, b in zip(other, base, strict=True)]

    base = of(pictures(), TEXTS)
    assert rows_that_differ(of(pictures(), tf.where(TEXTS == 3, 4, TEXTS))) == [[True, False, True]] * 2
    assert rows_that_differ(of(pictures(1), TEXTS)) == [[True] * 3] * 2
    moved = made()
    moved.text_positions.assign_add(np.eye(5)[-1][None, :, None] * np.arange(8))  # the last place
    padded = rows_that_differ(of(pictures(), TEXTS, moved))
    assert padded == [[False, False, True]] * 2  # the third text has no padding


def test_the_mask_token_hides_what_it_stands_for(tower):
    patches = tf.constant([[True, False, False, True]] * 3)
    images = pictures().numpy()
    images[:, :4, :4] = 0
    images[:, 4:, 4:] = 1
    hidden = [tower.image(one, patches).embedding for one in (pictures(), tf.constant(images))]
    np.testing.assert_array_equal(*hidden)
    assert np.abs(tower.image(images).embedding.numpy() - tower.image(pictures()).embedding.numpy()).max() > 1e-3
    words = TEXTS == 3
    texts = [tower.text(one, words).embedding for one in (TEXTS, tf.where(words, 8, TEXTS))]
    np.testing.assert_array_equal(*texts)
    with tf.GradientTape(persistent=True) as tape:
        sums = [tf.reduce_sum(tower.image(pictures(), patches).embedding[:, 0])]
        sums.append(tf.reduce_sum(tower.text(TEXTS, words).embedding[:, 0]))
    assert all(np.abs(tape.gradient(one, tower.mask_token)).max() > 0 for one in sums)


def test_a_step_on_pictures_moves_what_texts_give():
    tower = made()
    before = tower.text(TEXTS).embedding.numpy()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tower.image(pictures(), training=True).embedding[:, 0])
    shared = [v for v in tower.trainable_variables if "encoder" in v.name or "projection" in v.name]
    for variable, gradient in zip(shared, tape.gradient(loss, shared), strict=True):
        variable.assign_sub(0.1 * gradient)
    assert np.abs(tower.text(TEXTS).embedding.numpy() - before).max() > 1e-4
