"""big_vision's .npz of a supervised ViT (arXiv 2010.11929), such as AugReg's (arXiv 2106.10270), as an image tower.

The file holds flax parameters by path. Three layouts are public: that of the repository vision_transformer, which
AugReg's files have (`Transformer/posembed_input/pos_embedding` counts the class token, and a block has the layers
LayerNorm_0, MultiHeadDotProductAttention_1, LayerNorm_2 and MlpBlock_3), one with `Transformer/pos_embedding`, and
big_vision's own (`pos_embedding` is of patches alone, and the layers are those of its SigLIP).
"""

import re

import numpy as np

from models import settings
from models.pretrained import exchange
from models.pretrained.checkpoint import Note
from models.pretrained.errors import PretrainedError
from models.pretrained.flax_file import FlaxFile, Sizes, flax_name
from models.pretrained.image_tower import ImageTowerAlone, PretrainedImageTower
from models.pretrained.layout import Shapes, image_tower_shapes

_KIND = "a ViT of big_vision or AugReg"
_EXAMPLE = "B_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0.npz"
_KERNEL, _CLASS, _ENCODER = "embedding/kernel", "cls", "Transformer"
_POSITIONS = ("pos_embedding", "Transformer/pos_embedding", "Transformer/posembed_input/pos_embedding")
_IGNORED = ("head", "pre_logits")
_ATTENTION, _MLP = "MultiHeadDotProductAttention_0", "MlpBlock_0"
# What AugReg's files call the layers of a block: their number counts all layers of the block.
_OLD = {_ATTENTION: "MultiHeadDotProductAttention_1", "LayerNorm_1": "LayerNorm_2", _MLP: "MlpBlock_3"}
_BLOCK_LAYER = re.compile(r"^(Transformer/encoderblock_\d+/)([^/]+)(/.*)$")


def is_vision_transformer(file: FlaxFile) -> bool:
    """Whether the file holds one ViT, and not the towers of a SigLIP model, `img` and `txt`."""
    return any(name.startswith(f"{_ENCODER}/") for name in file.shapes)


def read(file: FlaxFile, size: int | None = None, antialias: bool | None = None) -> PretrainedImageTower:
    """Reads the encoder and what pools it: a class token, a MAP head or, without both, the mean of the patches.

    The classifier `head` and `pre_logits` are ignored, and a note says so.

    Args:
      file: the open .npz.
      size: side of the pictures in pixels; needed if it is not a multiple of the patch.
      antialias: whether pictures are resized with antialiasing; None takes big_vision's default, which is False.

    Raises:
      PretrainedError: the file is damaged or holds another model; the message names the tensor.
    """
    ignored = sorted({name.split("/")[0] for name in file.shapes} & {*_IGNORED})
    found = {name: shape for name, shape in file.shapes.items() if name.split("/")[0] not in _IGNORED}
    positions = _positions(found, file.path)
    is_old = any(f"/{_OLD[_ATTENTION]}/" in name for name in found)
    config = tower(found, file.path, size, antialias)
    ours = image_tower_shapes(config)
    adds_class_position = config.pooling == "cls" and found[positions][1] == config.patches
    if adds_class_position:
        found[positions] = (1, config.patches + 1, *found[positions][2:])

    def load(name: str) -> np.ndarray:
        value = file.read(name)
        if name == positions and adds_class_position:  # such a class token gets no position
            value = np.concatenate([np.zeros_like(value[:, :1]), value], axis=1)
        return value

    pairs = [exchange.same(_name(name, positions, is_old), name, shape) for name, shape in ours.items()]
    weights = exchange.read(pairs, ours, found, load, file.path)
    return PretrainedImageTower(ImageTowerAlone(config), weights, file.path, _notes(file.path, config, ignored))


def tower(
    found: Shapes, path: str, size: int | None = None, antialias: bool | None = None
) -> settings.ImageTowerSettings:
    """Returns the settings that the shapes of a file's tensors show, without `head` and `pre_logits`.

    Raises:
      PretrainedError: a tensor that shows a size is missing or misshapen.
    """
    sizes, positions = Sizes(found, path, _KIND, _EXAMPLE), _positions(found, path)
    is_old = any(f"/{_OLD[_ATTENTION]}/" in name for name in found)
    attention, mlp = (_OLD[_ATTENTION], _OLD[_MLP]) if is_old else (_ATTENTION, _MLP)
    has_map = any(name.startswith("MAPHead_0/") for name in found)
    if _CLASS in found and has_map:
        raise PretrainedError(
            f"{path}: it has {_CLASS} and MAPHead_0, but our tower has either a class token or a MAP head; "
            "name another file"
        )
    pooling = "cls" if _CLASS in found else "map" if has_map else "gap"
    count = sizes.shape(positions, 3)[1]
    has_class_position = pooling == "cls" and not _is_square(count)
    return settings.ImageTowerSettings(
        **sizes.transformer(_ENCODER, attention, mlp),
        **sizes.pictures(_KERNEL, positions, size, has_class_position),
        pooling=pooling,
        resize="squash",
        interpolation="bilinear",
        antialias=bool(antialias),
    )


def _is_square(count: int) -> bool:
    return round(count**0.5) ** 2 == count


def _positions(found: Shapes, path: str) -> str:
    there = [name for name in _POSITIONS if name in found]
    if len(there) != 1:
        problem = f"has {' and '.join(there)}" if there else f"has none of {', '.join(_POSITIONS)}"
        raise PretrainedError(
            f"{path} {problem}, but must have learned position embeddings once (fixed sines, as in vit_s16_i1k files, "
            f"are not supported); name a file such as {_EXAMPLE}"
        )
    return there[0]


def _name(ours: str, positions: str, is_old: bool) -> str:
    theirs = flax_name(ours).removeprefix("img/")
    if theirs == _POSITIONS[0]:
        return positions
    layer = _BLOCK_LAYER.match(theirs)
    return f"{layer[1]}{_OLD.get(layer[2], layer[2])}{layer[3]}" if layer and is_old else theirs


def _notes(path: str, config: settings.ImageTowerSettings, ignored: list[str]) -> tuple[Note, ...]:
    resize = "with antialiasing" if config.antialias else "without antialiasing"
    notes = [
        f"{path} does not say how pictures are resized; assumed: bilinear {resize} (ImageTower.antialias), as resize() "
        "of big_vision's pp/ops_image.py"
    ]
    if ignored:
        notes.append(f"{path}: {' and '.join(ignored)} ignored; the tower ends after its pooling, {config.pooling!r}")
    if config.pooling == "gap":
        notes.append(f"{path} has no class token and no MAP head; assumed: ImageTower.pooling = 'gap'")
    return tuple(Note("image_tower", note) for note in notes)
