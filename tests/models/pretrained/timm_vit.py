"""Writes a random ViT of flax_vit.py as a folder of timm, with timm's names and orders."""

import json
import pathlib
from typing import Any

import numpy as np

from tests.models.pretrained import flax_vit, hugging_face_vit
from tests.models.pretrained.flax_vit import DEPTH, HEADS, MLP, OLD_POSITIONS, PATCH, SIZE, WIDTH

PICTURES = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "input_size": [3, SIZE, SIZE],
            "crop_pct": 0.9, "crop_mode": "center", "num_classes": 7}  # fmt: skip
# What timm.create_model needs for our tiny sizes; as in JAX, the activation is the tanh GELU.
ARGUMENTS = {"img_size": SIZE, "patch_size": PATCH, "embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS,
             "mlp_ratio": MLP / WIDTH, "act_layer": "gelu_tanh"}  # fmt: skip


def write(folder: pathlib.Path, has_class: bool = True, **change: Any) -> dict[str, np.ndarray]:
    """Writes the folder; `change` has fields of config.json, of `pretrained_cfg` or of `model_args`; None drops one.

    Returns:
      The tensors in AugReg's names, for flax_vit.forward.
    """
    file = flax_vit.tensors(has_class=has_class)
    pooling = {} if has_class else {"class_token": False, "global_pool": "avg", "fc_norm": False}
    config = {
        "architecture": "vit_tiny_patch16_224",
        "num_classes": 7,
        "global_pool": "token" if has_class else "avg",
        "model_args": changed({**ARGUMENTS, **pooling}, change.pop("model_args", {})),
        "pretrained_cfg": changed(PICTURES, change.pop("pretrained_cfg", {})),
    }
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(changed(config, change)))
    hugging_face_vit.save(folder, tensors(file))
    return file


def changed(fields: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """The fields with others in place of them; None drops one."""
    return {name: value for name, value in {**fields, **change}.items() if value is not None}


def tensors(file: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """AugReg's names -> timm's, which have query, key and value in one."""
    found = {
        "pos_embed": file[OLD_POSITIONS],
        "patch_embed.proj.weight": file["embedding/kernel"].transpose(3, 2, 0, 1),
        "patch_embed.proj.bias": file["embedding/bias"],
        **flax_vit.torch_norm(file, "norm", "Transformer/encoder_norm"),
        **flax_vit.torch_dense(file, "head", "head"),
    }
    if "cls" in file:
        found["cls_token"] = file["cls"]
    for i in range(DEPTH):
        ours, block = f"blocks.{i}", f"Transformer/encoderblock_{i}"
        attention, mlp = f"{block}/MultiHeadDotProductAttention_1", f"{block}/MlpBlock_3"
        for theirs, norm in (("norm1", "LayerNorm_0"), ("norm2", "LayerNorm_2")):
            found |= flax_vit.torch_norm(file, f"{ours}.{theirs}", f"{block}/{norm}")
        three = [f"{attention}/{name}" for name in ("query", "key", "value")]
        found[f"{ours}.attn.qkv.weight"] = np.concatenate([file[f"{n}/kernel"].reshape(WIDTH, WIDTH).T for n in three])
        found[f"{ours}.attn.qkv.bias"] = np.concatenate([file[f"{name}/bias"].ravel() for name in three])
        found |= flax_vit.torch_dense(file, f"{ours}.attn.proj", f"{attention}/out")
        for theirs, dense in (("fc1", "Dense_0"), ("fc2", "Dense_1")):
            found |= flax_vit.torch_dense(file, f"{ours}.mlp.{theirs}", f"{mlp}/{dense}")
    return found
