"""A ViT of Hugging Face becomes our image tower: transformers' own outputs, and clear messages.

The slow test asks transformers, in the environment that tests/benchmarks/environments.py makes.
"""

import json
import os
import pathlib
import re
import subprocess

import numpy as np
import pytest

from models import pretrained, settings
from models.pretrained.image_tower import PretrainedImageTower
from tests.benchmarks import environments
from tests.models.pretrained import flax_vit, hugging_face_vit, mix_ups
from tests.models.pretrained.flax_vit import forward, pictures
from tests.models.pretrained.tiny import tower_output

NEAR = 1e-5
PEER = pathlib.Path(__file__).parent / "transformers_vit_peer.py"


@pytest.mark.parametrize(("prefix", "ignored"), [("", "pooler"), ("vit.", "classifier")])
def test_output_equals_the_forward_pass_of_either_class(tmp_path, prefix, ignored):
    file = hugging_face_vit.write(tmp_path / "vit", prefix, hidden_act="gelu_pytorch_tanh")
    loaded = pretrained.read_parts(str(tmp_path / "vit"))
    assert np.abs(tower_output(loaded, pictures()) - forward(file, pictures())).max() < NEAR
    assert loaded.config.image_tower == settings.ImageTowerSettings(
        width=24, depth=2, heads=3, mlp_dim=40, size=24, patch=8, pooling="cls"
    )
    assert [re.search(r"(layer_norm_eps is 1e-12|\w+ ignored)", note.text)[0] for note in loaded.notes] == [
        "layer_norm_eps is 1e-12",
        f"{ignored} ignored",
    ]


@pytest.fixture(scope="module")
def tanh_vit(tmp_path_factory) -> PretrainedImageTower:
    path = tmp_path_factory.mktemp("hugging_face") / "vit"
    hugging_face_vit.write(path, hidden_act="gelu_pytorch_tanh")
    return pretrained.read_parts(str(path))


@pytest.mark.parametrize("mix_up", mix_ups.CLASS_TOKEN_TOWER.values(), ids=mix_ups.CLASS_TOKEN_TOWER)
def test_comparison_detects_mix_ups(tanh_vit, mix_up):
    mixed_up = mix_ups.planted(tanh_vit, mix_up)
    assert np.abs(tower_output(mixed_up, pictures()) - forward(flax_vit.tensors(), pictures())).max() > 5 * NEAR


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"num_hidden_layers": 3}, "encoder.layer.2.layernorm_before.weight [24] is missing, but must hold our"),
        ({"num_hidden_layers": 1}, "encoder.layer.1.attention.attention.key.bias [24] matches none of our variables"),
        ({"hidden_size": 48}, "embeddings.cls_token is [1, 1, 24], but must be [1, 1, 48] for our image_tower/class"),
        ({"num_attention_heads": 5}, "num_attention_heads is 5, but must be a divisor of hidden_size (24)"),
        ({"qkv_bias": False}, "config.json.qkv_bias is False, but must be True"),
        ({"layer_norm_eps": 1e-5}, "config.json.layer_norm_eps is 1e-05, but must be 1e-12 or 1e-06"),
        ({"image_size": 48}, "size is 24, but must be {'height': 48, 'width': 48}, the image_size of config.json"),
        ({"model_type": "clip"}, "model_type is 'clip', but must be 'siglip' or 'vit' (CLIP is not supported: our tow"),
        ({"model_type": "deit"}, "model_type is 'deit', but must be 'siglip' or 'vit' (DeiT is not supported: our tow"),
        ({"model_type": None}, "model_type is None, but must be 'siglip' or 'vit'; name another model's folder"),
    ],
)
def test_error_for_another_model_names_the_field(tmp_path, config, message):
    hugging_face_vit.write(tmp_path / "vit", **config)
    with pytest.raises(pretrained.PretrainedError, match=re.escape(message)):
        pretrained.read_parts(str(tmp_path / "vit"))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("image_mean", [0.485, 0.456, 0.406], "image_mean is [0.485, 0.456, 0.406], but must be [0.5, 0.5, 0.5]"),
        (
            "image_processor_type",
            "SiglipImageProcessor",
            "is 'SiglipImageProcessor', but must be one of ViTImageProcess",
        ),
    ],
)
def test_processor_that_our_tower_cannot_follow_is_refused(tmp_path, field, value, message):
    hugging_face_vit.write(tmp_path / "vit")
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps({**hugging_face_vit.PROCESSOR, field: value}))
    with pytest.raises(pretrained.PretrainedError, match=re.escape(message)):
        pretrained.read_parts(str(tmp_path / "vit"))


def test_vocabulary_is_refused_for_a_tower_alone(tmp_path):
    hugging_face_vit.write(tmp_path / "vit")
    (tmp_path / "spiece.model").write_bytes(b"x")
    with pytest.raises(pretrained.PretrainedError, match=r"holds an image tower alone, so leave --vocabulary out"):
        pretrained.read_parts(str(tmp_path / "vit"), str(tmp_path / "spiece.model"))


@pytest.mark.slow
@pytest.mark.parametrize("config", [{}, {"layer_norm_eps": 1e-6, "hidden_act": "quick_gelu"}], ids=str)
def test_output_equals_transformers(tmp_path, config):
    hugging_face_vit.write(tmp_path / "vit", **config)
    np.save(tmp_path / "pixels.npy", pictures())
    names = ("vit", "pixels.npy", "answers.npz", "saved")
    python = environments.python_of("transformers")
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run([python, PEER, *(tmp_path / name for name in names)], check=True, env=offline)
    loaded = pretrained.read_parts(str(tmp_path / "vit"))
    with np.load(tmp_path / "answers.npz") as file:
        assert not file["unused"].size, file["unused"]
        expected = file["output"]
    np.testing.assert_allclose(tower_output(loaded, pictures()), expected, rtol=0, atol=NEAR)
    for name, mix_up in mix_ups.CLASS_TOKEN_TOWER.items():
        mixed_up = mix_ups.planted(loaded, mix_up)
        assert np.abs(tower_output(mixed_up, pictures()) - expected).max() > 5 * NEAR, name
    again = pretrained.read_parts(str(tmp_path / "saved"))  # with the prefix and the classifier
    assert again.config == loaded.config
    for name, value in loaded.weights.items():
        np.testing.assert_array_equal(value, again.weights[name])
