"""A supervised ViT of AugReg or big_vision becomes our image tower: the same outputs, and clear messages."""

import dataclasses
import pathlib
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from models import pretrained, settings
from models.pretrained import vision_transformer
from models.pretrained.image_tower import PretrainedImageTower
from models.pretrained.layout import image_tower_shapes
from models.towers.image_tower import ImageTower
from tests.benchmarks import environments
from tests.models.pretrained import flax_vit, mix_ups
from tests.models.pretrained.flax_vit import NEW, OLD, OLD_POSITIONS, SIZE, forward, pictures, tensors
from tests.models.pretrained.tiny import CONFIG, checkpoint, tower_output

NEAR = 1e-5
PEER = pathlib.Path(__file__).parent / "timm_vit_peer.py"
LAYOUTS = {
    "AugReg": {},
    "AugReg, mean of the patches": {"has_class": False},
    "2021": {"positions": "Transformer/pos_embedding"},
    "big_vision, class token without position": {"layers": NEW, "positions": "pos_embedding"},
    "big_vision, mean of the patches": {"layers": NEW, "positions": "pos_embedding", "has_class": False},
}


def save(path, file) -> str:
    np.savez(path, **file)
    return str(path)


@pytest.fixture(scope="module")
def augreg(tmp_path_factory) -> PretrainedImageTower:
    return pretrained.read_parts(save(tmp_path_factory.mktemp("vit") / "B_8.npz", tensors()))


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_output_equals_the_forward_pass_of_each_layout(tmp_path, layout):
    file = tensors(**layout)
    loaded = pretrained.read_parts(save(tmp_path / "a.npz", file))
    expected = forward(file, pictures(), layout.get("layers", OLD), layout.get("positions", OLD_POSITIONS))
    assert loaded.config.image_tower.pooling == ("cls" if layout.get("has_class", True) else "gap")
    assert np.abs(tower_output(loaded, pictures()) - expected).max() < NEAR
    assert np.abs(expected).max() > 0.1


@pytest.mark.slow
def test_output_equals_timms_own_reading_of_the_file(tmp_path, augreg):
    np.savez(tmp_path / "inputs.npz", images=pictures(), heads=flax_vit.HEADS)
    names = (augreg.source, tmp_path / "inputs.npz", tmp_path / "output.npy")
    subprocess.run([environments.python_of("open_clip"), PEER, *names], check=True)
    expected = np.load(tmp_path / "output.npy")
    assert np.abs(tower_output(augreg, pictures()) - expected).max() < NEAR
    for name, mix_up in mix_ups.CLASS_TOKEN_TOWER.items():
        control = mix_ups.planted(augreg, mix_up)
        assert np.abs(tower_output(control, pictures()) - expected).max() > 5 * NEAR, name


def test_head_pre_logits_and_params_change_nothing_but_the_notes(tmp_path, augreg):
    bare = {name: value for name, value in tensors().items() if name.split("/")[0] not in ("head", "pre_logits")}
    nested = {f"params/{name}": value for name, value in bare.items()}
    loaded = pretrained.read_parts(save(tmp_path / "a.npz", nested))
    assert loaded.config == augreg.config
    for name, value in augreg.weights.items():
        np.testing.assert_array_equal(loaded.weights[name], value)
    assert any("head and pre_logits ignored" in note.text for note in augreg.notes)
    assert not any("ignored" in note.text for note in loaded.notes)


@pytest.fixture(scope="module")
def built(augreg) -> ImageTower:
    tower = ImageTower(augreg.config.image_tower, name="image_tower")
    tower(tf.zeros([1, SIZE, SIZE, 3]))
    return tower


@pytest.mark.parametrize("mix_up", mix_ups.CLASS_TOKEN_TOWER.values(), ids=mix_ups.CLASS_TOKEN_TOWER)
def test_comparison_detects_mix_ups(augreg, built, mix_up):
    expected = forward(tensors(), pictures())
    for loaded, is_right in ((mix_ups.planted(augreg, mix_up), False), (augreg, True)):
        pretrained.restore(built.variables, loaded, ("image_tower",))
        difference = np.abs(built(tf.constant(pictures())).numpy() - expected).max()
        assert (difference < NEAR) if is_right else (difference > 5 * NEAR)


def test_comparison_detects_another_activation_and_another_pooling(augreg):
    expected = forward(tensors(), pictures())
    assert np.abs(tower_output(augreg, pictures(), activation="gelu") - expected).max() > 5 * NEAR
    without_class = {name: value for name, value in tensors().items() if name != "cls"}
    with pytest.raises(pretrained.PretrainedError, match=r"has 10 positions, but must have a square grid of patches"):
        vision_transformer.tower({name: value.shape for name, value in without_class.items()}, "a.npz")


def _resized(positions: np.ndarray) -> np.ndarray:
    """Positions of a 3 x 3 grid and a class token -> of a 5 x 5 grid, by Pillow."""
    grid = positions[0, 1:].reshape(3, 3, -1)
    channels = [Image.fromarray(grid[..., i]).resize((5, 5), Image.Resampling.BILINEAR) for i in range(24)]
    return np.concatenate([positions[0, :1], np.stack(channels, axis=-1).reshape(25, -1)])[None]


def test_positions_are_resized_to_the_towers_grid_around_the_class_token(augreg):
    file, images = tensors(), pictures(40)
    positions = _resized(file[OLD_POSITIONS])
    output = tower_output(augreg, images, size=40)
    assert np.abs(output - forward(file | {OLD_POSITIONS: positions}, images)).max() < NEAR
    misplaced = np.roll(positions, -1, axis=1)
    assert np.abs(output - forward(file | {OLD_POSITIONS: misplaced}, images)).max() > 5 * NEAR


def test_image_tower_of_a_siglip_file_without_its_prefix_has_the_map_head(tmp_path):
    pretrained.write(checkpoint(), str(tmp_path / "siglip.npz"))
    with np.load(tmp_path / "siglip.npz") as file:
        alone = {name.removeprefix("params/img/"): file[name] for name in file if name.startswith("params/img/")}
    loaded = pretrained.read_parts(save(tmp_path / "a.npz", alone))
    assert loaded.config.image_tower == dataclasses.replace(CONFIG.image_tower, antialias=False)
    for name, value in loaded.weights.items():
        np.testing.assert_array_equal(value, checkpoint().weights[name])
    assert len(loaded.weights) == sum(name.startswith("image_tower/") for name in checkpoint().weights)


PUBLISHED = {  # name: width, depth, heads, MLP, patch, parameters without head and pre-logits at 224 px
    "B/32": (768, 12, 12, 3072, 32, 87_455_232),
    "B/16": (768, 12, 12, 3072, 16, 85_798_656),
    "B/8": (768, 12, 12, 3072, 8, 85_807_872),
    "L/16": (1024, 24, 16, 4096, 16, 303_301_632),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_shapes_of_published_files_give_their_towers(name):
    width, depth, heads, mlp, patch, parameters = PUBLISHED[name]
    block = "Transformer/encoderblock_{}/"
    shapes = {
        "cls": (1, 1, width),
        "embedding/kernel": (patch, patch, 3, width),
        OLD_POSITIONS: (1, (224 // patch) ** 2 + 1, width),
    }
    for i in range(depth):
        shapes[f"{block.format(i)}MultiHeadDotProductAttention_1/query/kernel"] = (width, heads, width // heads)
        shapes[f"{block.format(i)}MlpBlock_3/Dense_0/kernel"] = (width, mlp)
    found = vision_transformer.tower(shapes, "file.npz")
    assert found == settings.ImageTowerSettings(
        width=width, depth=depth, heads=heads, mlp_dim=mlp, size=224, patch=patch, pooling="cls", antialias=False
    )
    shapes_of_ours = image_tower_shapes(found)
    assert sum(int(np.prod(shape)) for shape in shapes_of_ours.values()) == parameters


def objective(**image: object) -> settings.SiglitSettings:
    tower = {"size": SIZE, "patch": 8, "width": 24, "depth": 2, "heads": 3, "mlp_dim": 40, "pooling": "cls"}
    return settings.SiglitSettings(settings.ImageTowerSettings(**{**tower, **image}))


def test_training_starts_from_the_tower_alone_and_says_what_it_assumed(augreg, capsys):
    chosen = settings.PretrainedSettings(augreg.source, ("image_tower",))
    loaded = pretrained.load_fitting(chosen, objective(size=40), "")
    assert loaded.weights.keys() == augreg.weights.keys()
    printed = capsys.readouterr().out
    assert "assumed: bilinear without antialiasing (ImageTower.antialias)" in printed
    assert "head and pre_logits ignored; the tower ends after its pooling, 'cls'" in printed
    assert "image_tower's antialias is False in the checkpoint and True in the model" in printed


def test_simla_starts_from_the_class_token_tower(augreg):
    text = settings.TextTowerSettings(width=24, heads=3, mlp_dim=40)
    config = settings.SimlaSettings(image_tower=objective().image_tower, text_tower=text)
    chosen = settings.PretrainedSettings(augreg.source, ("image_tower",))
    assert pretrained.load_fitting(chosen, config, "").weights.keys() == augreg.weights.keys()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"depth": 3}, r"block_2/attention_norm/gamma is missing in the checkpoint and \[24\] in the model"),
        ({"width": 48}, r"class_token is \[1, 1, 24\] in the checkpoint and \[1, 1, 48\] in the model"),
        ({"pooling": "map"}, "image_tower's pooling is 'cls' in the checkpoint and 'map' in the model"),
        ({"activation": "gelu"}, "image_tower's activation is 'gelu_tanh' in the checkpoint and 'gelu' in the model"),
    ],
)
def test_another_tower_is_refused_before_training(augreg, image, message):
    with pytest.raises(pretrained.PretrainedError, match=message):
        pretrained.load_fitting(settings.PretrainedSettings(augreg.source, ("image_tower",)), objective(**image), "")


def test_other_parts_and_whole_models_are_refused(augreg):
    chosen = settings.PretrainedSettings(augreg.source, ("image_tower", "scalars"))
    fix = r"holds an image tower alone; set Pretrained.parts = \('image_tower',\)"
    with pytest.raises(pretrained.PretrainedError, match=rf"Pretrained.parts is .*'scalars'\), but .* {fix}"):
        pretrained.load_fitting(chosen, objective(), "")
    with pytest.raises(pretrained.PretrainedError, match="holds an image tower alone, but a model needs both towers"):
        pretrained.read(augreg.source)
