"""Writes a random ViT of flax_vit.py as a folder of Hugging Face, with transformers' names and orders."""

import json
import pathlib
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tests.models.pretrained import flax_vit
from tests.models.pretrained.flax_vit import DEPTH, GRID, HEADS, MLP, OLD_POSITIONS, PATCH, SIZE, WIDTH

CONFIG = {
    "model_type": "vit",
    "hidden_size": WIDTH,
    "intermediate_size": MLP,
    "num_hidden_layers": DEPTH,
    "num_attention_heads": HEADS,
    "image_size": SIZE,
    "patch_size": PATCH,
}
PROCESSOR = {"image_processor_type": "ViTImageProcessor", "size": SIZE, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def write(folder: pathlib.Path, prefix: str = "", **config: Any) -> dict[str, np.ndarray]:
    """Writes the folder; returns the tensors in AugReg's names, for flax_vit.forward."""
    file = flax_vit.tensors()
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    save(folder, {f"{prefix}{name}": value for name, value in _encoder(file).items()} | _heads(file, prefix))
    return file


def save(folder: pathlib.Path, tensors: dict[str, np.ndarray]) -> None:
    """Writes model.safetensors."""
    contiguous = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    save_file(contiguous, folder / "model.safetensors", metadata={"format": "pt"})


def _heads(file: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    if prefix:
        return {"classifier.weight": file["head/kernel"].T, "classifier.bias": file["head/bias"]}
    return {"pooler.dense.weight": file["pre_logits/kernel"].T, "pooler.dense.bias": file["pre_logits/bias"]}


def _encoder(file: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    patches = "embeddings.patch_embeddings.projection"
    found = {
        "embeddings.cls_token": file["cls"],
        "embeddings.position_embeddings": file[OLD_POSITIONS],
        f"{patches}.weight": file["embedding/kernel"].transpose(3, 2, 0, 1),
        f"{patches}.bias": file["embedding/bias"],
        **flax_vit.torch_norm(file, "layernorm", "Transformer/encoder_norm"),
    }
    for i in range(DEPTH):
        layer, block = f"encoder.layer.{i}", f"Transformer/encoderblock_{i}"
        attention, mlp = f"{block}/MultiHeadDotProductAttention_1", f"{block}/MlpBlock_3"
        for theirs, norm in (("before", "LayerNorm_0"), ("after", "LayerNorm_2")):
            found |= flax_vit.torch_norm(file, f"{layer}.layernorm_{theirs}", f"{block}/{norm}")
        for name in ("query", "key", "value"):
            kernel = file[f"{attention}/{name}/kernel"].reshape(WIDTH, WIDTH)
            found[f"{layer}.attention.attention.{name}.weight"] = kernel.T
            found[f"{layer}.attention.attention.{name}.bias"] = file[f"{attention}/{name}/bias"].reshape(WIDTH)
        found |= flax_vit.torch_dense(file, f"{layer}.attention.output.dense", f"{attention}/out")
        for theirs, dense in (("intermediate", "Dense_0"), ("output", "Dense_1")):
            found |= flax_vit.torch_dense(file, f"{layer}.{theirs}.dense", f"{mlp}/{dense}")
    assert found["embeddings.position_embeddings"].shape[1] == GRID**2 + 1
    return found
