"""timm's folder of a ViT, such as timm/vit_base_patch16_224.augreg_in21k: the image tower alone.

config.json names the architecture, what `timm.create_model` got besides (`model_args`), and how pictures are prepared
(`pretrained_cfg`).
"""

import os
import re
from typing import Any

from models import settings
from models.pretrained import exchange, safetensors_folder, timm_names
from models.pretrained.checkpoint import Note
from models.pretrained.errors import PretrainedError
from models.pretrained.hugging_face_config import CLIP_REFUSED, Fields
from models.pretrained.image_tower import ImageTowerAlone, PretrainedImageTower
from models.pretrained.json_files import read_json
from models.pretrained.layout import Shapes, image_tower_shapes

_NAME = re.compile(rf"vit_({'|'.join(timm_names.SIZES)})_patch(\d+)_(siglip_)?(gap_)?\d+(_in21k)?")
_REFUSED = {
    "clip": CLIP_REFUSED,
    "dinov": "DINO's later towers have layer scale or registers, which ours do not have",
    "_reg": "our towers have no register tokens",
    "_rpn": "our towers have no norms after the layers of a block",
    "_miil": "our towers have no query, key and value without bias",
    "deit": "our towers have no distillation token and no layer scale",
    "dino": "DINO's towers have other means of pictures, which ours do not take",
    "_r50": "our towers have no convolutions before the blocks",
    "_medium": "timm's medium ViTs have layer scale, which ours do not have",
}
# Tensors of variants that our towers do not have, whatever the architecture's name says.
_VARIANTS = {
    ".fc_norm.": "the norm after the mean of the tokens (ours is before it)",
    ".norm_pre.": "the norm before the blocks",
    ".reg_token": "register tokens",
    ".ls1.": "layer scale",
    ".q_norm.": "norms of queries and keys",
}
_GLOBAL_POOLS = {"cls": "token", "map": "map", "gap": "avg"}  # by our pooling
_ACTIVATIONS = ("gelu", "gelu_tanh", "quick_gelu")
_PICTURES = {"mean": None, "std": None, "interpolation": None, "input_size": None, "crop_pct": None, "crop_mode": None}
# Arguments of timm.create_model: the only values of some, and those that act in training alone or that tensors show.
_ONLY = {
    "in_chans": 3,
    "qkv_bias": True,
    "qk_norm": False,
    "proj_bias": True,
    "init_values": None,
    "no_embed_class": False,
    "reg_tokens": 0,
    "pre_norm": False,
    "final_norm": True,
    "pos_embed": "learn",
    "dynamic_img_size": False,
    "dynamic_img_pad": False,
}
_HARMLESS = re.compile(r"num_classes|mlp_ratio|class_token|fc_norm|strict_img_size|\w*drop\w*_rate|\w*_init")
_DEEPEST = 1000
_IGNORED = ("head.", "pre_logits.")


def is_timm(folder: str) -> bool:
    """Whether config.json is timm's; PretrainedError if the file cannot be read."""
    fields = read_json(folder, "config.json")
    return "architecture" in fields and "model_type" not in fields


def read(folder: str) -> PretrainedImageTower:
    """Reads config.json and the encoder's tensors; the pooling follows the tensors.

    The classifier `head` and `pre_logits` are ignored, and a note says so.

    Raises:
      PretrainedError: a file is missing or damaged, a field is wrong or not supported, or a tensor is missing, unknown
        or misshapen; the message names the file and the field or tensor.
    """
    source = os.path.join(folder, safetensors_folder.WEIGHTS)
    with safetensors_folder.opened(folder) as (tensors, load):
        found = {name: shape for name, shape in tensors.items() if not name.startswith(_IGNORED)}
        config, notes = _config(folder, found, source)
        ours = image_tower_shapes(config)
        weights = exchange.read(timm_names.trunk("", config), ours, found, load, source)
    if len(found) < len(tensors):
        ignored = sorted({name.split(".")[0] for name in tensors if name not in found})
        notes.append(f"{source}: {' and '.join(ignored)} ignored; the tower ends after its pooling, {config.pooling!r}")
    return PretrainedImageTower(
        ImageTowerAlone(config), weights, folder, tuple(Note("image_tower", note) for note in notes)
    )


def _config(folder: str, found: Shapes, source: str) -> tuple[settings.ImageTowerSettings, list[str]]:
    where, content = f"{folder}/config.json", read_json(folder, "config.json")
    size_name, patch, is_siglip = _architecture(content["architecture"], where)
    defaults = dict(zip(("embed_dim", "depth", "num_heads"), timm_names.SIZES[size_name], strict=True))
    arguments = _arguments(content.get("model_args", {}), {**defaults, "patch_size": patch}, where)
    # Folders of older versions have the fields of pretrained_cfg in config.json itself.
    pictures = Fields(f"{where}: pretrained_cfg", content.get("pretrained_cfg", content), _PICTURES)
    for field in ("mean", "std"):
        if pictures[field] != [0.5] * 3:
            raise _another(f"{where}: pretrained_cfg.{field} is {pictures[field]}, but must be {[0.5] * 3}")
    _require_plain(found, source)
    size, patch = _size(arguments, pictures, where), arguments.count("patch_size")
    activation, notes = _activation(arguments, is_siglip, where)
    pooling = _pooling(found, arguments["global_pool"] or content.get("global_pool"), where)
    mlp_dim = timm_names.shape(found, "blocks.0.mlp.fc1.bias", 1, source)[0]
    width, depth = arguments.count("embed_dim"), arguments.count("depth", _DEEPEST)
    heads = arguments.count("num_heads")
    try:
        config = settings.ImageTowerSettings(
            width, depth, heads, mlp_dim, activation=activation, size=size, patch=patch, pooling=pooling,
            cut_to_patches=size % patch > 0, interpolation=pictures["interpolation"],
        )  # fmt: skip
    except ValueError as error:
        raise _another(f"{where}: our towers do not support this model ({error})") from error
    if pictures["crop_mode"] != "squash":
        notes.append(
            f"{where}: timm takes the middle of each picture (crop_pct {pictures['crop_pct']}); chosen: "
            "ImageTower.resize = 'squash', which keeps all of it; 'crop' takes the middle of the longer side"
        )
    return config, notes


def _another(problem: str) -> PretrainedError:
    return PretrainedError(f"{problem}; name another model's folder")


def _architecture(name: Any, where: str) -> tuple[str, int, bool]:
    """Returns the name of the size, the patch, and whether it is a SigLIP tower."""
    match = _NAME.fullmatch(name.split(".")[0]) if isinstance(name, str) else None  # a tag may follow a dot
    if match is None:
        hints = [hint for part, hint in _REFUSED.items() if part in str(name)][:1]
        raise _another(
            f"{where}: architecture is {name!r}, but must be a plain ViT of timm, such as 'vit_base_patch16_224'"
            f"{f' ({hints[0]})' if hints else ''}"
        )
    return match[1], int(match[2]), match[3] is not None


def _arguments(given: Any, defaults: dict[str, int], where: str) -> Fields:
    """Returns `model_args`; PretrainedError if one of them asks for a layer that our towers do not have."""
    known = {"img_size": None, "act_layer": None, "global_pool": None, **defaults}
    fields = Fields(f"{where}: model_args", given, known)
    for name, value in given.items():
        if name in known or _HARMLESS.fullmatch(name):
            continue
        only = _ONLY.get(name)
        if value != only and (value or only):  # timm takes None, 0 and False for the same
            rule = repr(only) if name in _ONLY else "absent, because our towers do not have it"
            raise _another(f"{where}: model_args.{name} is {value!r}, but must be {rule}")
    return fields


def _require_plain(found: Shapes, source: str) -> None:
    for name in found:
        if what := next((what for part, what in _VARIANTS.items() if part in f".{name}"), None):
            raise _another(f"{source}: {name} belongs to {what}, which our towers do not have")


def _size(arguments: Fields, pictures: Fields, where: str) -> int:
    """Returns the side of the pictures in pixels."""
    if arguments["img_size"] is not None:
        return arguments.count("img_size")
    given = pictures["input_size"]
    side = given[-1] if isinstance(given, list) and given else None
    if given != [3, side, side] or type(side) is not int or side < 1:
        raise _another(
            f"{where}: pretrained_cfg.input_size is {given!r}, but must be as [3, 224, 224]: channels, and the side of "
            "a square twice"
        )
    return side


def _activation(arguments: Fields, is_siglip: bool, where: str) -> tuple[str, list[str]]:
    given = arguments["act_layer"]
    if given is not None:
        if given not in _ACTIVATIONS:
            raise _another(f"{where}: model_args.act_layer is {given!r}, but must be one of {', '.join(_ACTIVATIONS)}")
        return given, []
    chosen, why = (
        ("gelu_tanh", "with which big_vision trained SigLIP")
        if is_siglip
        else ("gelu", "the exact one, which timm computes; the same model's .npz of AugReg has 'gelu_tanh'")
    )
    return chosen, [f"{where} does not say the activation; chosen: activation = {chosen!r}, {why}"]


def _pooling(found: Shapes, given: Any, where: str) -> str:
    pooling = "cls" if "cls_token" in found else "map" if "attn_pool.latent" in found else "gap"
    if given not in (None, _GLOBAL_POOLS[pooling]):
        raise _another(
            f"{where}: global_pool is {given!r}, but must be {_GLOBAL_POOLS[pooling]!r}, as the tensors show"
        )
    return pooling
