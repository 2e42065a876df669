"""Reads and makes config.json of Hugging Face's SigLIP, and reads the fields that other kinds share with it."""

from typing import Any

from models import settings
from models.pretrained.checkpoint import Checkpoint
from models.pretrained.errors import PretrainedError
from models.pretrained.json_files import read_json
from models.towers.transformer import LAYER_NORM_EPSILON

# transformers' defaults for absent fields; published configs leave out every field that equals Base's.
_BOTH = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": LAYER_NORM_EPSILON,
}
_VISION = {**_BOTH, "image_size": 224, "patch_size": 16, "num_channels": 3, "vision_use_head": True}
_TEXT = {**_BOTH, "vocab_size": 32_000, "max_position_embeddings": 64, "projection_size": None}
_ACTIVATIONS = {
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "gelu": "gelu",
    "quick_gelu": "quick_gelu",
}
CLIP_REFUSED = (
    "CLIP is not supported: our towers have no norm before the blocks (pre_layrnorm), no patches without bias, no "
    "projection of the image embedding, no epsilon of 1e-5 in LayerNorm, and no byte-level BPE vocabulary"
)
_REFUSED = {
    "siglip2": "NaFlex variants are not supported",
    "clip": CLIP_REFUSED,
    "clip_vision_model": CLIP_REFUSED,
    "deit": "DeiT is not supported: our towers have no distillation token",
    "dinov2": "DINOv2 is not supported: our towers have no layer scale",
}
_LARGEST, _DEEPEST = 1 << 24, 1000


def read(folder: str) -> tuple[settings.SiglipSettings, int]:
    """Reads the settings of the towers, and the number of rows of the token embedding, from config.json.

    Raises:
      PretrainedError: a file is missing or not JSON, or a field has another type or a value that our towers do not
        support.
    """
    where = f"{folder}/config.json"
    fields = read_json(folder, "config.json")
    kind = fields.get("model_type")
    if kind != "siglip":
        hint = f" ({_REFUSED[kind]})" if isinstance(kind, str) and kind in _REFUSED else ""
        raise PretrainedError(
            f"{where}: model_type is {kind!r}, but must be 'siglip' or 'vit'{hint}; name another model's folder, or "
            "one of timm, which has 'architecture' in place of it"
        )
    vision = Fields(f"{where}: vision_config", fields.get("vision_config"), _VISION)
    text = Fields(f"{where}: text_config", fields.get("text_config"), _TEXT)
    vision.require("num_channels", 3)
    vision.require("vision_use_head", True)
    width, size, patch = vision.count("hidden_size"), vision.count("image_size"), vision.count("patch_size")
    if text["projection_size"] is not None or text.count("hidden_size") != width:
        text.require("projection_size", width)
    image = {
        **vision.transformer(),
        "size": size,
        "patch": patch,
        "cut_to_patches": size % patch > 0,
    }
    words = {**text.transformer(), "length": text.count("max_position_embeddings")}
    try:
        towers = settings.ImageTowerSettings(**image), settings.TextTowerSettings(**words)
    except ValueError as error:
        raise PretrainedError(
            f"{where}: our towers do not support these sizes ({error}); correct it, or name another model's folder"
        ) from error
    return settings.SiglipSettings(*towers), text.count("vocab_size")


def model_type(folder: str) -> str:
    """Returns `model_type` of config.json, or "" if there is none; PretrainedError if the file cannot be read."""
    return str(read_json(folder, "config.json").get("model_type", ""))


def fields(checkpoint: Checkpoint) -> dict[str, Any]:
    """Returns the fields of config.json; PretrainedError if Hugging Face's SigLIP has no such tower."""
    image, text = checkpoint.config.image_tower, checkpoint.config.text_tower
    for name, value, only in (
        ("ImageTower.pooling", image.pooling, "map"),
        ("TextTower.pooling", text.pooling, "last"),
        ("TextTower.causal", text.causal, False),
        ("TextTower.bottleneck", text.bottleneck, 0),
    ):
        if value != only:
            raise PretrainedError(
                f"{name} is {value!r}, but Hugging Face's SigLIP has {only!r} only; keep our SavedModel"
            )
    return {
        "architectures": ["SiglipModel"],
        "model_type": "siglip",
        "initializer_factor": 1.0,
        "torch_dtype": "float32",
        "vision_config": {
            **_transformer_fields(image),
            "model_type": "siglip_vision_model",
            "image_size": image.size,
            "patch_size": image.patch,
            "num_channels": 3,
        },
        "text_config": {
            **_transformer_fields(text),
            "model_type": "siglip_text_model",
            "vocab_size": checkpoint.vocabulary_size,
            "max_position_embeddings": text.length,
            "projection_size": image.width,
            "pad_token_id": text.pad_id,
            "bos_token_id": None,
            "eos_token_id": None,
        },
    }


class Fields:
    """A part of config.json, with defaults for absent fields."""

    def __init__(self, where: str, given: Any, defaults: dict[str, Any]) -> None:
        if not isinstance(given, dict):
            raise PretrainedError(
                f"{where} is {given!r}, but must be an object, which may be empty; get the file again"
            )
        self._where, self._values = where, {**defaults, **given}

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def count(self, name: str, largest: int = _LARGEST) -> int:
        """Returns a whole number above 0; as in transformers, a list of two equal numbers stands for one (a square)."""
        value = self[name]
        if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
            value = value[0]
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= largest:
            raise self._error(name, f"a whole number from 1 to {largest:,}")
        return value

    def require(self, name: str, only: Any) -> None:
        """Raises PretrainedError unless the field has the only value that our towers support."""
        if self[name] != only:
            raise self._error(name, repr(only))

    def transformer(self, epsilons: tuple[float, ...] = (LAYER_NORM_EPSILON,)) -> dict[str, Any]:
        """Returns the settings that both towers have; LayerNorm's epsilon must be one of `epsilons`."""
        activation = self["hidden_act"]
        if not isinstance(activation, str) or activation not in _ACTIVATIONS:
            raise self._error("hidden_act", f"one of {', '.join(_ACTIVATIONS)}")
        if self["layer_norm_eps"] not in epsilons:
            raise self._error("layer_norm_eps", " or ".join(map(repr, epsilons)))
        width, heads = self.count("hidden_size"), self.count("num_attention_heads")
        if width % heads:
            raise self._error("num_attention_heads", f"a divisor of hidden_size ({width})")
        return {
            "width": width,
            "depth": self.count("num_hidden_layers", _DEEPEST),
            "heads": heads,
            "mlp_dim": self.count("intermediate_size"),
            "activation": _ACTIVATIONS[activation],
        }

    def _error(self, name: str, rule: str) -> PretrainedError:
        return PretrainedError(
            f"{self._where}.{name} is {self[name]!r}, but must be {rule}; correct it, or name another model's folder"
        )


def _transformer_fields(config: settings.TransformerSettings) -> dict[str, Any]:
    return {
        "hidden_size": config.width,
        "intermediate_size": config.mlp_dim,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "hidden_act": next(theirs for theirs, ours in _ACTIVATIONS.items() if ours == config.activation),
        "layer_norm_eps": LAYER_NORM_EPSILON,
        "attention_dropout": 0.0,
    }
