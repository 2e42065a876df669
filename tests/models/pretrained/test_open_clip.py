"""open_clip's SigLIP folders are read: every tensor in its place, and open_clip's own outputs (a slow test)."""

import dataclasses
import json
import pathlib
import re
import subprocess
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from models import pretrained
from models.pretrained import Checkpoint, vocabularies
from tests.benchmarks import environments
from tests.models.pretrained import mix_ups
from tests.models.pretrained.tiny import CONFIG, answers, assert_same, checkpoint

PEER = pathlib.Path(__file__).parent / "open_clip_peer.py"
MODEL = dataclasses.replace(
    CONFIG,
    image_tower=dataclasses.replace(CONFIG.image_tower, heads=12, interpolation="bicubic"),
    text_tower=dataclasses.replace(CONFIG.text_tower, punctuation="canonicalize"),
)
VISION = {
    "image_size": 24,
    "timm_model_name": "vit_base_patch16_siglip_224",
    "timm_pool": "map",
    "timm_proj": "none",
}
TEXT = {
    "context_length": 5, "vocab_size": 30, "width": 16, "heads": 2, "layers": 1, "mlp_ratio": 1.5, "pool_type": "last",
    "no_causal_mask": True, "proj_bias": True, "norm_kwargs": {"eps": 1e-6},
    "tokenizer_kwargs": {"clean": "canonicalize"},
}  # fmt: skip
PICTURES = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}


def tensors(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights under the names, and in the orders, of open_clip and timm."""
    image, text, trunk = "image_tower", "text_tower", "visual.trunk"
    found = {
        "logit_scale": weights["log_scale"],
        "logit_bias": weights["bias"],
        f"{trunk}.pos_embed": weights[f"{image}/position_embedding"],
        f"{trunk}.patch_embed.proj.weight": weights[f"{image}/patch_embedding/kernel"].transpose(3, 2, 0, 1),
        f"{trunk}.patch_embed.proj.bias": weights[f"{image}/patch_embedding/bias"],
        f"{trunk}.attn_pool.latent": weights[f"{image}/head/probe"],
        "text.positional_embedding": weights[f"{text}/position_embedding"][0],
        "text.token_embedding.weight": weights[f"{text}/token_embedding/embeddings"],
    }

    def dense(theirs: str, *ours: str) -> None:
        name = (f"{theirs}weight", f"{theirs}bias") if theirs.endswith("_") else (f"{theirs}.weight", f"{theirs}.bias")
        kernels, biases = ([weights[f"{one}/{part}"] for one in ours] for part in ("kernel", "bias"))
        merges = ours[0].split("/")[-1] == "attention_output"
        rows = kernels[0].shape[0] * (kernels[0].shape[1] if merges else 1)
        found[name[0]] = np.concatenate([kernel.reshape(rows, -1).T for kernel in kernels])
        found[name[1]] = np.concatenate([bias.ravel() for bias in biases])

    def norm(theirs: str, ours: str) -> None:
        found[f"{theirs}.weight"], found[f"{theirs}.bias"] = weights[f"{ours}/gamma"], weights[f"{ours}/beta"]

    timm, own = (("norm1", "norm2", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"),
                 ("ln_1", "ln_2", "attn.in_proj_", "attn.out_proj", "mlp.c_fc", "mlp.c_proj"))  # fmt: skip
    for block, ours, (first, second, qkv, out, up, down) in (
        *((f"{trunk}.blocks.{i}", f"{image}/encoder/block_{i}", timm) for i in range(2)),
        ("text.transformer.resblocks.0", f"{text}/encoder/block_0", own),
    ):
        norm(f"{block}.{first}", f"{ours}/attention_norm")
        norm(f"{block}.{second}", f"{ours}/mlp_norm")
        dense(f"{block}.{qkv}", *(f"{ours}/attention/{name}" for name in ("query", "key", "value")))
        dense(f"{block}.{out}", f"{ours}/attention/attention_output")
        dense(f"{block}.{up}", f"{ours}/mlp/expand")
        dense(f"{block}.{down}", f"{ours}/mlp/project")
    head, pool = f"{image}/head", f"{trunk}.attn_pool"
    dense(f"{pool}.q", f"{head}/attention/query")
    dense(f"{pool}.kv", f"{head}/attention/key", f"{head}/attention/value")
    dense(f"{pool}.proj", f"{head}/attention/attention_output")
    dense(f"{pool}.mlp.fc1", f"{head}/mlp/expand")
    dense(f"{pool}.mlp.fc2", f"{head}/mlp/project")
    norm(f"{pool}.norm", f"{head}/norm")
    norm(f"{trunk}.norm", f"{image}/encoder/norm")
    norm("text.ln_final", f"{text}/encoder/norm")
    dense("text.text_projection", f"{text}/head")
    return {name: np.ascontiguousarray(value) for name, value in found.items()}


def write(folder: pathlib.Path, model: Checkpoint, **change: Any) -> str:
    """Writes the folder; `change` has fields of any section of open_clip_config.json."""
    vision, text, pictures = (
        {name: change.get(name, value) for name, value in section.items()} for section in (VISION, TEXT, PICTURES)
    )
    config = {"model_cfg": {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}, "preprocess_cfg": pictures}
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(tensors(model.weights), folder / "open_clip_model.safetensors")
    return str(folder)


def test_every_tensor_gets_its_place(tmp_path):
    loaded = pretrained.read(write(tmp_path / "model", checkpoint(MODEL)))
    assert_same(loaded, checkpoint(MODEL))
    assert loaded.config == checkpoint(MODEL).config
    assert all("chosen: activation = 'gelu_tanh'" in note.text for note in loaded.notes)


def test_model_without_projection_gets_the_identity(tmp_path):
    same_width = dataclasses.replace(MODEL.image_tower, width=16, heads=2)
    model = checkpoint(dataclasses.replace(MODEL, image_tower=same_width))
    folder = pathlib.Path(write(tmp_path / "model", model, timm_model_name="vit_large_patch16_siglip_256"))
    alone = {name: value for name, value in tensors(model.weights).items() if "text_projection" not in name}
    save_file(alone, folder / "open_clip_model.safetensors")
    loaded = pretrained.read(str(folder))
    np.testing.assert_array_equal(loaded.weights["text_tower/head/kernel"], np.eye(16))
    assert loaded.config.image_tower.heads == 16


def test_siglip_2_has_the_punctuation_rule_that_its_folder_names(tmp_path):
    model, table = checkpoint(MODEL), "text_tower/token_embedding/embeddings"
    rows = np.zeros([vocabularies.GEMMA_PIECES, model.weights[table].shape[1]], np.float32)
    larger = dataclasses.replace(model, weights={**model.weights, table: rows})
    loaded = pretrained.read(write(tmp_path / "model", larger))
    assert loaded.config.text_tower.punctuation == "canonicalize"
    assert "chosen: TextTower.punctuation = 'canonicalize', as tokenizer_kwargs say" in loaded.notes[-1].text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"timm_model_name": None},
            "timm_model_name is None, but must be a SigLIP model of timm, such as 'vit_base_pa",
        ),
        ({"timm_model_name": "vit_base_patch16_clip_224"}, "(CLIP is not supported: our towers have no norm before"),
        ({"timm_pool": "gap"}, "model_cfg.vision_cfg.timm_pool is 'gap', but must be 'map'"),
        ({"no_causal_mask": False}, "model_cfg.text_cfg.no_causal_mask is False, but must be True"),
        ({"norm_kwargs": None}, "model_cfg.text_cfg.norm_kwargs is None, but must be {'eps': 1e-06}"),
        ({"tokenizer_kwargs": None}, "text_cfg.tokenizer_kwargs is None, but must be {'clean': 'canonicalize'}"),
        ({"std": [0.3] * 3}, "preprocess_cfg.std is [0.3, 0.3, 0.3], but must be [0.5, 0.5, 0.5]"),
        ({"image_size": 48}, "visual.trunk.pos_embed is [1, 9, 24], but must be [1, 36, 24] for our image_tower/posit"),
        ({"interpolation": "random"}, "do not support this model (ImageTower.interpolation is 'random', but must be"),
    ],
)
def test_error_for_another_model_names_the_field(tmp_path, change, message):
    with pytest.raises(pretrained.PretrainedError, match=re.escape(message)):
        pretrained.read(write(tmp_path / "model", checkpoint(MODEL), **change))


@pytest.mark.slow
def test_embeddings_and_logits_equal_open_clips(tmp_path):
    folder, random = write(tmp_path / "model", checkpoint(MODEL)), np.random.default_rng(0)
    images = random.uniform(-1, 1, [2, 24, 24, 3]).astype(np.float32)
    token_ids = random.integers(0, 30, [2, 5])
    np.savez(tmp_path / "inputs.npz", images=images, token_ids=token_ids)
    python = environments.python_of("open_clip")
    subprocess.run([python, PEER, folder, tmp_path / "inputs.npz", tmp_path / "answers.npz"], check=True)
    loaded = pretrained.read(folder)
    right = answers(loaded, images, token_ids)
    with np.load(tmp_path / "answers.npz") as file:
        expected = dict(file)
    for name, value in right.items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-5, err_msg=name)
    for name, mix_up in mix_ups.SIGLIP.items():
        mixed_up = mix_ups.planted(loaded, mix_up)
        wrong = answers(mixed_up, images, token_ids)
        assert max(np.abs(wrong[one] - expected[one]).max() for one in wrong) > 5e-5, name
