"""open_clip's folder of a SigLIP model, such as timm/ViT-B-16-SigLIP.

The image tower has timm's names, the text tower open_clip's own. CLIP models of open_clip are refused by name.
"""

import os
import re
from collections.abc import Iterator

import numpy as np

from models import settings
from models.pretrained import exchange, hugging_face_tokenizer, safetensors_folder, timm_names, vocabularies
from models.pretrained.checkpoint import Checkpoint, Note
from models.pretrained.errors import PretrainedError
from models.pretrained.exchange import Pair, same
from models.pretrained.hugging_face import layer_norm, linear
from models.pretrained.hugging_face_config import CLIP_REFUSED, Fields
from models.pretrained.json_files import read_json
from models.pretrained.layout import Shapes, shapes

CONFIG, _WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
# timm's models of SigLIP.
_TIMM = re.compile(r"^vit_(base|large|so400m|giantopt)_patch\d+_siglip_\d+$")
_EPSILON = 1e-6
_VISION = {"timm_model_name": None, "timm_pool": "", "timm_proj": "linear", "image_size": 224}
_TEXT = {
    "no_causal_mask": False,
    "pool_type": "argmax",
    "norm_kwargs": None,
    "tokenizer_kwargs": None,
    "embed_cls": False,
    "heads": 8,
}
_PREPROCESS = {"mean": None, "std": None, "interpolation": "bicubic", "resize_mode": "shortest"}
_SCALARS = {"logit_scale": "log_scale", "logit_bias": "bias"}
_HEAD = "text.text_projection"
_SIGLIP_2_PUNCTUATION = (
    "SigLIP 2 has no one rule for punctuation; chosen: TextTower.punctuation = 'canonicalize', as tokenizer_kwargs "
    "say; Hugging Face's tokenizer and big_vision's SigLIP2_demo.ipynb keep it"
)
# The six layers of a block, as timm_names.block takes them.
_TEXT_LAYERS = ("ln_1", "ln_2", "attn.in_proj_", "attn.out_proj", "mlp.c_fc", "mlp.c_proj")


def read(folder: str, vocabulary: bytes | None = None) -> Checkpoint:
    """Reads a SigLIP model that open_clip saved.

    Args:
      folder: with both files.
      vocabulary: a SentencePiece model that replaces the folder's own, or stands in for it.

    Raises:
      PretrainedError: a file is missing or damaged, or holds another model; the message names the field or the tensor.
    """
    given = vocabulary or hugging_face_tokenizer.read_vocabulary(folder)
    source = os.path.join(folder, _WEIGHTS)
    with safetensors_folder.opened(folder, _WEIGHTS) as (tensors, load):
        config, rows = _config(folder, tensors)
        ours, width = shapes(config, rows), config.text_tower.width
        found = dict(tensors) | {name: (1,) for name in _SCALARS if tensors.get(name) == ()}

        def value(name: str) -> np.ndarray:
            tensor = load(name)
            return tensor.reshape(1) if name in _SCALARS else tensor

        head = (f"{_HEAD}.weight", f"{_HEAD}.bias")
        weights = exchange.read(
            _pairs(config, rows), ours, *exchange.with_text_head(found, value, *head, width), source
        )
    return Checkpoint(config, weights, given, folder, _notes(folder, rows))


def _notes(folder: str, rows: int) -> tuple[Note, ...]:
    note = (
        f"{folder}/{CONFIG}: open_clip computes some towers of SigLIP with the exact GELU; chosen: activation = "
        "'gelu_tanh', with which big_vision trained SigLIP"
    )
    notes = [Note(part, note) for part in ("image_tower", "text_tower")]
    if vocabularies.is_gemma(rows):
        notes.append(Note("text_tower", f"{folder}/{CONFIG}: {_SIGLIP_2_PUNCTUATION}"))
    return tuple(notes)


def _config(folder: str, found: Shapes) -> tuple[settings.SiglipSettings, int]:
    """Returns the settings of the towers, and the number of rows of the token embedding."""
    where, source = f"{folder}/{CONFIG}", f"{folder}/{_WEIGHTS}"
    content = read_json(folder, CONFIG)
    model, preprocess = content.get("model_cfg"), content.get("preprocess_cfg")
    model_fields = Fields(f"{where}: model_cfg", model, {"vision_cfg": None, "text_cfg": None})
    vision = Fields(f"{where}: model_cfg.vision_cfg", model_fields["vision_cfg"], _VISION)
    text = Fields(f"{where}: model_cfg.text_cfg", model_fields["text_cfg"], _TEXT)
    pictures = Fields(f"{where}: preprocess_cfg", preprocess, _PREPROCESS)
    name = vision["timm_model_name"]
    timm = _TIMM.match(name) if isinstance(name, str) else None
    if timm is None:
        raise PretrainedError(
            f"{where}: model_cfg.vision_cfg.timm_model_name is {name!r}, but must be a SigLIP model of timm, such as "
            f"'vit_base_patch16_siglip_224' ({CLIP_REFUSED}); name another model's folder"
        )
    for fields, field, only in (
        (vision, "timm_pool", "map"),
        (vision, "timm_proj", "none"),
        (text, "no_causal_mask", True),
        (text, "pool_type", "last"),
        (text, "norm_kwargs", {"eps": _EPSILON}),
        (text, "tokenizer_kwargs", {"clean": "canonicalize"}),
        (text, "embed_cls", False),
        (pictures, "mean", [0.5] * 3),
        (pictures, "std", [0.5] * 3),
        (pictures, "resize_mode", "squash"),
    ):
        fields.require(field, only)
    size, heads = vision.count("image_size"), (timm_names.SIZES[timm[1]][2], text.count("heads"))
    patch = timm_names.shape(found, "visual.trunk.patch_embed.proj.weight", 4, source)[-1]
    image_width, image_mlp = timm_names.shape(found, "visual.trunk.blocks.0.mlp.fc2.weight", 2, source)
    text_width, text_mlp = timm_names.shape(found, "text.transformer.resblocks.0.mlp.c_proj.weight", 2, source)
    rows = timm_names.shape(found, "text.token_embedding.weight", 2, source)[0]
    try:
        image = settings.ImageTowerSettings(
            image_width, timm_names.depth(found, "visual.trunk.blocks."), heads[0], image_mlp, size=size, patch=patch,
            interpolation=pictures["interpolation"], cut_to_patches=size % patch > 0,
        )  # fmt: skip
        words = settings.TextTowerSettings(
            text_width, timm_names.depth(found, "text.transformer.resblocks."), heads[1], text_mlp,
            length=timm_names.shape(found, "text.positional_embedding", 2, source)[0],
            pad_id=vocabularies.pad_id(rows), punctuation="canonicalize",
        )  # fmt: skip
    except ValueError as error:
        raise PretrainedError(
            f"{where}: our towers do not support this model ({error}); correct it, or name another model's folder"
        ) from error
    return settings.SiglipSettings(image, words), rows


def _pairs(config: settings.SiglipSettings, rows: int) -> Iterator[Pair]:
    image, text = config.image_tower, config.text_tower
    for theirs, ours in _SCALARS.items():
        yield same(theirs, ours, ())
    yield from timm_names.trunk("visual.trunk.", image)
    yield same("text.token_embedding.weight", "text_tower/token_embedding/embeddings", (rows, text.width))
    shape = (text.length, text.width)
    yield Pair("text.positional_embedding", ("text_tower/position_embedding",), shape, (0, 1))
    for i in range(text.depth):
        yield from timm_names.block(
            f"text.transformer.resblocks.{i}", f"text_tower/encoder/block_{i}", text, _TEXT_LAYERS
        )
    yield from layer_norm("text.ln_final", "text_tower/encoder/norm", text.width)
    yield from linear(_HEAD, "text_tower/head", text.width, image.width)
