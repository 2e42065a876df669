"""Hugging Face's folder of a supervised ViT (`model_type` `vit`): ViTModel or ViTForImageClassification."""

import os
from collections.abc import Iterator

from models import settings
from models.pretrained import exchange, hugging_face_processor, safetensors_folder
from models.pretrained.checkpoint import Note
from models.pretrained.errors import PretrainedError
from models.pretrained.exchange import Pair, flattened, same
from models.pretrained.hugging_face import layer_norm, linear
from models.pretrained.hugging_face_config import Fields
from models.pretrained.image_tower import ImageTowerAlone, PretrainedImageTower
from models.pretrained.json_files import read_json
from models.pretrained.layout import image_tower_shapes
from models.towers.transformer import LAYER_NORM_EPSILON

_EPSILON = 1e-12
# transformers' defaults for absent fields.
_DEFAULTS = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "gelu",
    "layer_norm_eps": _EPSILON,
    "image_size": 224,
    "patch_size": 16,
    "num_channels": 3,
    "qkv_bias": True,
}
_PREFIX, _IGNORED = "vit.", ("classifier", "pooler")


def read(folder: str) -> PretrainedImageTower:
    """Reads config.json, preprocessor_config.json and the tensors of the encoder; the class token is pooled.

    The classifier and the pooler, a dense layer after the class token, are ignored, and a note says so.

    Raises:
      PretrainedError: a file is missing or damaged, a field is wrong or not supported, or a tensor is missing, unknown
        or misshapen; the message names the file and the field or tensor.
    """
    config, notes = _config(folder)
    ours = image_tower_shapes(config)
    with safetensors_folder.opened(folder) as (tensors, load):
        names = {name.removeprefix(_PREFIX): name for name in tensors}
        ignored = sorted({name.split(".")[0] for name in names} & {*_IGNORED})
        found = {plain: tensors[name] for plain, name in names.items() if plain.split(".")[0] not in _IGNORED}
        source = os.path.join(folder, safetensors_folder.WEIGHTS)
        weights = exchange.read(_pairs(config), ours, found, lambda plain: load(names[plain]), source)
    if ignored:
        notes.append(f"{source}: {' and '.join(ignored)} ignored; the tower ends after its pooling, 'cls'")
    return PretrainedImageTower(
        ImageTowerAlone(config), weights, folder, tuple(Note("image_tower", note) for note in notes)
    )


def _config(folder: str) -> tuple[settings.ImageTowerSettings, list[str]]:
    where = f"{folder}/config.json"
    fields = Fields(where, read_json(folder, "config.json"), _DEFAULTS)
    fields.require("num_channels", 3)
    fields.require("qkv_bias", True)
    size, patch = fields.count("image_size"), fields.count("patch_size")
    interpolation, processor_notes = hugging_face_processor.read(folder, size, hugging_face_processor.VIT)
    transformer = fields.transformer((_EPSILON, LAYER_NORM_EPSILON))
    notes = [note.text for note in processor_notes]
    if fields["layer_norm_eps"] != LAYER_NORM_EPSILON:
        notes.append(
            f"{where}: layer_norm_eps is {fields['layer_norm_eps']}; our towers add {LAYER_NORM_EPSILON} to the "
            "variance, as the JAX models do"
        )
    try:
        config = settings.ImageTowerSettings(
            **transformer,
            size=size,
            patch=patch,
            cut_to_patches=size % patch > 0,
            pooling="cls",
            interpolation=interpolation,
        )
    except ValueError as error:
        raise PretrainedError(
            f"{where}: our towers do not support these sizes ({error}); correct it, or name another model's folder"
        ) from error
    return config, notes


def _pairs(config: settings.ImageTowerSettings) -> Iterator[Pair]:
    width, kernel = config.width, (config.patch, config.patch, 3, config.width)
    patches = "embeddings.patch_embeddings.projection"
    yield same("embeddings.cls_token", "image_tower/class_token", (1, 1, width))
    positions = (1, config.patches + 1, width)
    yield same("embeddings.position_embeddings", "image_tower/position_embedding", positions)
    yield Pair(f"{patches}.weight", ("image_tower/patch_embedding/kernel",), kernel, (3, 2, 0, 1))
    yield flattened(f"{patches}.bias", ["image_tower/patch_embedding/bias"], (width,))
    for i in range(config.depth):
        block, layer = f"image_tower/encoder/block_{i}", f"encoder.layer.{i}"
        yield from layer_norm(f"{layer}.layernorm_before", f"{block}/attention_norm", width)
        yield from layer_norm(f"{layer}.layernorm_after", f"{block}/mlp_norm", width)
        for name in ("query", "key", "value"):
            yield from linear(f"{layer}.attention.attention.{name}", f"{block}/attention/{name}", width, width)
        yield from linear(f"{layer}.attention.output.dense", f"{block}/attention/attention_output", width, width)
        yield from linear(f"{layer}.intermediate.dense", f"{block}/mlp/expand", width, config.mlp_dim)
        yield from linear(f"{layer}.output.dense", f"{block}/mlp/project", config.mlp_dim, width)
    yield from layer_norm("layernorm", "image_tower/encoder/norm", width)
