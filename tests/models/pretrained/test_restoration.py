"""`restore` sets the chosen parts, each value once, and resizes positions to another grid."""

import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from models import objectives, pretrained, settings
from models.optimizers.parameters import name
from models.pretrained.restoration import resize_positions
from models.settings.pretrained import PARTS
from models.towers.image_tower import ImageTower
from tests.models.pretrained.tiny import CONFIG, WORDS, checkpoint


def values(objective: objectives.Objective) -> dict[str, np.ndarray]:
    return {name(variable): variable.numpy() for variable in objective.variables}


@pytest.mark.parametrize(("parts", "count"), [(("image_tower",), 52), (("text_tower", "scalars"), 24), (PARTS, 76)])
def test_restore_sets_only_the_chosen_parts(parts, count):
    objective, loaded = objectives.create(CONFIG, WORDS), checkpoint()
    before = values(objective)
    pretrained.restore(objective.variables, loaded, parts, CONFIG)
    after = values(objective)
    changed = {key for key in after if not np.array_equal(before[key], after[key])}
    expected = {key for key in after if key.split("/")[0] in parts or ("scalars" in parts and "/" not in key)}
    assert changed == expected
    assert len(changed) == count
    for key in changed:
        np.testing.assert_array_equal(after[key], loaded.weights[key], err_msg=key)


def test_restore_sets_a_tower_alone():
    tower, loaded = ImageTower(CONFIG.image_tower, name="image_tower"), checkpoint()
    tower(tf.zeros([1, 24, 24, 3]))
    pretrained.restore(tower.variables, loaded, ("image_tower",))
    np.testing.assert_array_equal(tower.head.probe.numpy(), loaded.weights["image_tower/head/probe"])


@pytest.mark.parametrize(
    ("tower", "change", "message"),
    [
        (
            "image_tower",
            {"depth": 1},
            r"block_1/attention_norm/gamma is \[24\] in the checkpoint and missing in the model",
        ),
        (
            "image_tower",
            {"depth": 3},
            r"block_2/attention_norm/gamma is missing in the checkpoint and \[24\] in the model",
        ),
        (
            "image_tower",
            {"patch": 4},
            r"patch_embedding/kernel is \[8, 8, 3, 24\] in the checkpoint and \[4, 4, 3, 24\] in the model",
        ),
        (
            "image_tower",
            {"activation": "gelu"},
            "image_tower's activation is 'gelu_tanh' in the checkpoint and 'gelu' in the model",
        ),
        ("image_tower", {"pooling": "gap"}, "image_tower's pooling is 'map' in the checkpoint and 'gap' in the model"),
        (
            "text_tower",
            {"length": 4},
            r"text_tower/position_embedding is \[1, 5, 16\] in the checkpoint and \[1, 4, 16\] in the model",
        ),
        ("text_tower", {"causal": True}, "text_tower's causal is False in the checkpoint and True in the model"),
        ("text_tower", {"pad_id": 0}, "text_tower's pad_id is 1 in the checkpoint and 0 in the model"),
    ],
)
def test_restore_refuses_another_tower_and_sets_nothing(tower, change, message):
    config = dataclasses.replace(CONFIG, **{tower: dataclasses.replace(getattr(CONFIG, tower), **change)})
    objective = objectives.create(config, WORDS)
    before = values(objective)
    with pytest.raises(pretrained.PretrainedError, match=message):
        pretrained.restore(objective.variables, checkpoint(), config=config)
    for key, value in values(objective).items():
        np.testing.assert_array_equal(value, before[key])


def test_require_fit_refuses_another_tower_without_a_model():
    deeper = dataclasses.replace(CONFIG, image_tower=dataclasses.replace(CONFIG.image_tower, depth=3))
    with pytest.raises(pretrained.PretrainedError, match=r"block_2/attention_norm/gamma is missing in the checkpoint"):
        pretrained.require_fit(checkpoint(), deeper, PARTS)
    pretrained.require_fit(checkpoint(), deeper, ("text_tower", "scalars"))
    larger = dataclasses.replace(CONFIG, image_tower=dataclasses.replace(CONFIG.image_tower, size=64))
    pretrained.require_fit(checkpoint(), larger, PARTS)


def test_different_inputs_are_reported():
    other = dataclasses.replace(CONFIG.image_tower, interpolation="bicubic", resize="letterbox")
    reported = pretrained.differing_inputs(checkpoint(), dataclasses.replace(CONFIG, image_tower=other), PARTS)
    assert [line.split(";")[0] for line in reported] == [
        "image_tower's interpolation is 'bilinear' in the checkpoint and 'bicubic' in the model",
        "image_tower's resize is 'squash' in the checkpoint and 'letterbox' in the model",
    ]
    assert pretrained.differing_inputs(checkpoint(), CONFIG, PARTS) == []


def test_restore_refuses_another_vocabulary():
    objective = objectives.create(CONFIG, WORDS + 1)
    with pytest.raises(
        pretrained.PretrainedError,
        match=r"embeddings is \[30, 16\] in the checkpoint and \[31, 16\] in the model.*vocabulary",
    ):
        pretrained.restore(objective.variables, checkpoint())
    pretrained.restore(objective.variables, checkpoint(), ("image_tower", "scalars"))


def test_objective_without_bias_needs_scalars_left_out():
    config = settings.SoftmaxSettings(CONFIG.image_tower, CONFIG.text_tower)
    objective = objectives.create(config, WORDS)
    with pytest.raises(
        pretrained.PretrainedError, match=r"bias is \[\] in the checkpoint and missing in the model.*Pretrained.parts"
    ):
        pretrained.restore(objective.variables, checkpoint(), config=config)
    pretrained.restore(objective.variables, checkpoint(), ("image_tower", "text_tower"), config)


@pytest.mark.parametrize(("old", "new"), [(4, 7), (7, 4), (16, 6), (3, 3)])
def test_positions_are_resized_like_pictures_in_pillow(old, new):
    grid = np.random.default_rng(0).normal(size=[old, old, 3]).astype(np.float32)
    resized = resize_positions(grid.reshape(1, old * old, 3), new * new).reshape(new, new, 3)
    for channel in range(3):
        picture = Image.fromarray(grid[..., channel])
        expected = np.asarray(picture.resize((new, new), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(resized[..., channel], expected, atol=1e-6)


def test_antialiasing_makes_a_visible_difference():
    grid = np.random.default_rng(0).normal(size=[1, 16, 16, 3]).astype(np.float32)
    plain = tf.image.resize(grid, [6, 6]).numpy().reshape(1, 36, 3)
    assert np.abs(plain - resize_positions(grid.reshape(1, 256, 3), 36)).max() > 0.1


def test_class_token_keeps_its_position():
    positions = np.random.default_rng(0).normal(size=[1, 17, 5]).astype(np.float32)
    resized = resize_positions(positions, 10, has_class=True)
    np.testing.assert_array_equal(resized[:, 0], positions[:, 0])
    np.testing.assert_array_equal(resized[:, 1:], resize_positions(positions[:, 1:], 9))
    with pytest.raises(
        pretrained.PretrainedError, match="17 positions in the checkpoint and 11 in the model, but both must be square"
    ):
        resize_positions(positions, 11, has_class=True)


def test_larger_picture_gives_nearly_the_same_embedding():
    config = dataclasses.replace(CONFIG, image_tower=dataclasses.replace(CONFIG.image_tower, size=48))
    positions = "image_tower/position_embedding"
    smooth = np.tile(checkpoint().weights[positions][:, :1], [1, 9, 1])
    loaded = dataclasses.replace(checkpoint(), weights=checkpoint().weights | {positions: smooth})
    small, large = objectives.create(CONFIG, WORDS), objectives.create(config, WORDS)
    for objective in (small, large):
        pretrained.restore(objective.variables, loaded, config=objective.config)
    grey = tf.fill([1, 48, 48, 3], 0.25)
    np.testing.assert_allclose(large.embed_image(grey), small.embed_image(grey[:, :24, :24]), atol=1e-5)


def test_load_takes_the_newest_whole_pushed_model(tmp_path: pathlib.Path):
    for version in ("9", "10"):
        pretrained.write(checkpoint(seed=int(version)), str(tmp_path / version), "hugging_face")
    (tmp_path / "11").mkdir()  # Not whole yet, so it does not count.
    loaded = pretrained.load(settings.PretrainedSettings(str(tmp_path)))
    probe = "image_tower/head/probe"
    np.testing.assert_array_equal(loaded.weights[probe], checkpoint(seed=10).weights[probe])
