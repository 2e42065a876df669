"""A ViT of timm becomes our image tower: timm's own outputs, and clear messages.

The slow tests ask timm, in the environment that tests/benchmarks/environments.py makes.
"""

import dataclasses
import json
import pathlib
import re
import subprocess

import numpy as np
import pytest
from safetensors.numpy import load_file

from models import pretrained, settings
from tests.benchmarks import environments
from tests.models.pretrained import flax_vit, hugging_face_vit, mix_ups, timm_vit
from tests.models.pretrained.flax_vit import WIDTH, forward, pictures
from tests.models.pretrained.test_open_clip import tensors
from tests.models.pretrained.tiny import CONFIG, checkpoint, tower_output

NEAR = 1e-5
BARE: dict[str, None] = dict.fromkeys(timm_vit.ARGUMENTS)
PEER = pathlib.Path(__file__).parent / "timm_folder_peer.py"


@pytest.mark.parametrize("has_class", [True, False], ids=["class token", "mean of the patches"])
def test_output_equals_the_forward_pass(tmp_path, has_class):
    file = timm_vit.write(tmp_path / "vit", has_class)
    loaded = pretrained.read_parts(str(tmp_path / "vit"))
    assert np.abs(tower_output(loaded, pictures()) - forward(file, pictures())).max() < NEAR
    assert loaded.config.image_tower == settings.ImageTowerSettings(
        width=24, depth=2, heads=3, mlp_dim=40, size=24, patch=8, pooling="cls" if has_class else "gap",
        interpolation="bicubic",
    )  # fmt: skip
    crop, head = (note.text for note in loaded.notes)
    assert "timm takes the middle of each picture (crop_pct 0.9); chosen: ImageTower.resize = 'squash'" in crop
    assert "head ignored" in head


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("timm") / "vit"
    timm_vit.write(path)
    return path


@pytest.mark.parametrize("mix_up", mix_ups.CLASS_TOKEN_TOWER.values(), ids=mix_ups.CLASS_TOKEN_TOWER)
def test_comparison_detects_mix_ups(folder, mix_up):
    loaded = pretrained.read_parts(str(folder))
    mixed_up = mix_ups.planted(loaded, mix_up)
    assert np.abs(tower_output(mixed_up, pictures()) - forward(flax_vit.tensors(), pictures())).max() > 5 * NEAR


def test_siglip_tower_of_timm_has_the_map_head(tmp_path):
    trunk = "visual.trunk."
    found = {name.removeprefix(trunk): value for name, value in tensors(checkpoint().weights).items() if trunk in name}
    timm_vit.write(tmp_path / "vit", architecture="vit_base_patch16_siglip_224", global_pool="map",
                   model_args={"act_layer": None})  # fmt: skip
    hugging_face_vit.save(tmp_path / "vit", found)
    loaded = pretrained.read_parts(str(tmp_path / "vit"))
    assert loaded.config.image_tower == dataclasses.replace(CONFIG.image_tower, interpolation="bicubic")
    assert any("chosen: activation = 'gelu_tanh', with which big_vision trained" in note.text for note in loaded.notes)
    for name, value in loaded.weights.items():
        np.testing.assert_array_equal(value, checkpoint().weights[name])
    assert len(loaded.weights) == sum(name.startswith("image_tower/") for name in checkpoint().weights)


def test_a_published_config_has_the_sizes_of_its_name(tmp_path):
    pictures_of = {"input_size": [3, 224, 224]}
    name = "vit_base_patch16_224.augreg_in21k"
    timm_vit.write(tmp_path / "vit", architecture=name, model_args=BARE, pretrained_cfg=pictures_of)
    with pytest.raises(pretrained.PretrainedError) as raised:
        pretrained.read_parts(str(tmp_path / "vit"))
    assert "patch_embed.proj.weight is [24, 3, 8, 8], but must be [768, 3, 16, 16]" in str(raised.value)


def test_a_lost_block_is_missing(folder, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    found = load_file(folder / "model.safetensors")
    hugging_face_vit.save(tmp_path, {name: value for name, value in found.items() if "blocks.1" not in name})
    with pytest.raises(pretrained.PretrainedError, match=r"blocks.1.norm1.weight \[24\] is missing, but must hold our"):
        pretrained.read_parts(str(tmp_path))


def test_pre_logits_and_arguments_that_change_nothing_are_ignored(folder, tmp_path):
    timm_vit.write(
        tmp_path, model_args={"qk_norm": False, "init_values": 0, "strict_img_size": False, "drop_rate": 0.1}
    )
    more = {"pre_logits.fc.weight": np.zeros([WIDTH, WIDTH], np.float32)}
    hugging_face_vit.save(tmp_path, load_file(folder / "model.safetensors") | more)
    loaded = pretrained.read_parts(str(tmp_path))
    assert any("head and pre_logits ignored" in note.text for note in loaded.notes)
    assert loaded.config == pretrained.read_parts(str(folder)).config


def test_published_config_without_layers_arguments_is_read(tmp_path):
    timm_vit.write(tmp_path / "vit", model_args=dict.fromkeys(("img_size", "num_heads", "act_layer")))
    loaded = pretrained.read_parts(str(tmp_path / "vit"))
    assert (loaded.config.image_tower.heads, loaded.config.image_tower.activation) == (3, "gelu")
    assert any("does not say the activation; chosen: activation = 'gelu', the" in note.text for note in loaded.notes)
    config = json.loads((tmp_path / "vit" / "config.json").read_text())  # as timm wrote it until 2023
    flat = {**config.pop("pretrained_cfg"), **config}
    (tmp_path / "vit" / "config.json").write_text(json.dumps(flat))
    assert pretrained.read_parts(str(tmp_path / "vit")).config == loaded.config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"architecture": "resnet50"},
            "architecture is 'resnet50', but must be a plain ViT of timm, such as 'vit_base",
        ),
        ({"architecture": ["vit"]}, "architecture is ['vit'], but must be a plain ViT of timm"),
        ({"architecture": "vit_base_patch16_clip_224"}, "(CLIP is not supported: our towers have no norm before"),
        ({"architecture": "vit_base_patch14_reg4_dinov2"}, "(DINO's later towers have layer scale or registers, which"),
        ({"architecture": "vit_base_patch16_224_miil"}, "(our towers have no query, key and value without bias); name"),
        (
            {"architecture": "vit_medium_patch16_gap_256"},
            "(timm's medium ViTs have layer scale, which ours do not have",
        ),
        ({"global_pool": "avg"}, "global_pool is 'avg', but must be 'token', as the tensors show; name another"),
        ({"model_args": {"qkv_bias": False}}, "model_args.qkv_bias is False, but must be True; name another model's"),
        ({"model_args": {"init_values": 0.1}}, "model_args.init_values is 0.1, but must be None; name another model's"),
        ({"model_args": {"in_chans": 1}}, "model_args.in_chans is 1, but must be 3; name another model's folder"),
        ({"model_args": {"depth": 3}}, "blocks.2.norm1.weight [24] is missing, but must hold our image_tower/encoder"),
        ({"model_args": {"depth": 1}}, "blocks.1.attn.proj.bias [24] matches none of our variables"),
        ({"model_args": {"patch_size": 4}}, "patch_embed.proj.weight is [24, 3, 8, 8], but must be [24, 3, 4, 4]"),
        ({"model_args": {"embed_dim": "big"}}, "model_args.embed_dim is 'big', but must be a whole number from 1 to"),
        (
            {"model_args": {"attn_layer": "diff"}},
            "model_args.attn_layer is 'diff', but must be absent, because our tow",
        ),
        ({"model_args": {"num_heads": 5}}, "vit/config.json: our towers do not support this model (ImageTower"),
        ({"model_args": {"num_heads": "3"}}, "model_args.num_heads is '3', but must be a whole number from 1 to"),
        ({"model_args": {"act_layer": "relu"}}, "model_args.act_layer is 'relu', but must be one of gelu, gelu_tanh"),
        ({"model_args": {"img_size": 48}}, "pos_embed is [1, 10, 24], but must be [1, 37, 24] for our image_tower/pos"),
        ({"pretrained_cfg": {"mean": [0.485, 0.456, 0.406]}}, "pretrained_cfg.mean is [0.485, 0.456, 0.406], but must"),
        ({"pretrained_cfg": {"std": None}}, "pretrained_cfg.std is None, but must be [0.5, 0.5, 0.5]"),
        ({"pretrained_cfg": {"interpolation": "random"}}, "ImageTower.interpolation is 'random', but must be"),
        (
            {"pretrained_cfg": {"input_size": [3, 24, 32]}, "model_args": {"img_size": None}},
            "pretrained_cfg.input_size is [3, 24, 32], but must be as [3, 224, 224]: channels, and the side of",
        ),
    ],
)
def test_error_for_another_model_names_the_field(tmp_path, change, message):
    timm_vit.write(tmp_path / "vit", **change)
    with pytest.raises(pretrained.PretrainedError, match=re.escape(message)) as raised:
        pretrained.read_parts(str(tmp_path / "vit"))
    assert str(raised.value).count(str(tmp_path)) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "fc_norm.weight",
            "fc_norm.weight belongs to the norm after the mean of the tokens (ours is before it), which",
        ),
        ("norm_pre.bias", "norm_pre.bias belongs to the norm before the blocks, which our towers do not have; name"),
        ("blocks.1.ls1.gamma", "blocks.1.ls1.gamma belongs to layer scale, which our towers do not have"),
        ("reg_token", "reg_token belongs to register tokens, which"),
        ("blocks.0.attn.q_norm.weight", "blocks.0.attn.q_norm.weight belongs to norms of queries and keys, which our"),
        ("blocks.1.extra", "blocks.1.extra [24] matches none of our variables"),
    ],
)
def test_error_for_a_tensor_of_another_model_names_it(folder, tmp_path, name, message):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    hugging_face_vit.save(tmp_path, load_file(folder / "model.safetensors") | {name: np.zeros([WIDTH], np.float32)})
    with pytest.raises(pretrained.PretrainedError, match=re.escape(message)):
        pretrained.read_parts(str(tmp_path))


def test_vocabulary_is_refused_for_a_tower_alone(folder, tmp_path):
    (tmp_path / "spiece.model").write_bytes(b"x")
    with pytest.raises(pretrained.PretrainedError, match=r"holds an image tower alone, so leave --vocabulary out"):
        pretrained.read_parts(str(folder), str(tmp_path / "spiece.model"))


@pytest.mark.slow
@pytest.mark.parametrize("has_class", [True, False], ids=["class token", "mean of the patches"])
@pytest.mark.parametrize("activation", ["gelu_tanh", None])
def test_output_equals_timms(tmp_path, has_class, activation):
    timm_vit.write(tmp_path / "vit", has_class, model_args={"act_layer": activation})
    np.save(tmp_path / "pixels.npy", pictures())
    names = ("vit", "pixels.npy", "output.npy", "saved")
    python = environments.python_of("open_clip")
    subprocess.run([python, PEER, *(tmp_path / name for name in names)], check=True)
    loaded, expected = pretrained.read_parts(str(tmp_path / "vit")), np.load(tmp_path / "output.npy")
    assert np.abs(tower_output(loaded, pictures()) - expected).max() < NEAR
    again = pretrained.read_parts(str(tmp_path / "saved"))
    assert again.config == loaded.config
    for name, value in loaded.weights.items():
        np.testing.assert_array_equal(value, again.weights[name])
    for name, mix_up in mix_ups.CLASS_TOKEN_TOWER.items() if has_class else ():
        mixed_up = mix_ups.planted(loaded, mix_up)
        assert np.abs(tower_output(mixed_up, pictures()) - expected).max() > 5 * NEAR, name
