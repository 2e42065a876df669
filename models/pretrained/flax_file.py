"""Reads big_vision's .npz: flax parameters by path, blocks apart or stacked, and the sizes that shapes show."""

import functools
import math
import re
from typing import Any

import numpy as np

from models.pretrained import npz
from models.pretrained.errors import PretrainedError
from models.pretrained.layout import Shapes

# (part of our names, what flax calls it), applied in this order.
_NAMES = (
    (r"^image_tower/encoder/", "img/Transformer/"),
    (r"^image_tower/head/", "img/MAPHead_0/"),
    (r"^image_tower/patch_embedding/", "img/embedding/"),
    (r"^image_tower/class_token$", "img/cls"),
    (r"^image_tower/", "img/"),
    (r"^text_tower/encoder/", "txt/Encoder_0/"),
    (r"^text_tower/token_embedding/embeddings$", "txt/Embed_0/embedding"),
    (r"^text_tower/", "txt/"),
    (r"^log_scale$", "t"),
    (r"^bias$", "b"),
    (r"/block_(\d+)/", r"/encoderblock_\1/"),
    (r"/position_embedding$", "/pos_embedding"),
    (r"/attention_norm/", "/LayerNorm_0/"),
    (r"/mlp_norm/", "/LayerNorm_1/"),
    (r"MAPHead_0/norm/", "MAPHead_0/LayerNorm_0/"),
    (r"/norm/", "/encoder_norm/"),
    (r"/attention/", "/MultiHeadDotProductAttention_0/"),
    (r"/attention_output/", "/out/"),
    (r"/mlp/expand/", "/MlpBlock_0/Dense_0/"),
    (r"/mlp/project/", "/MlpBlock_0/Dense_1/"),
    (r"/gamma$", "/scale"),
    (r"/beta$", "/bias"),
)
_SCANNED = re.compile(r"^(.*/encoderblock)(/.*)$")


def flax_name(ours: str) -> str:
    """What big_vision's SigLIP calls a variable of ours; the image tower is `img/...`."""
    for pattern, replacement in _NAMES:
        ours = re.sub(pattern, replacement, ours)
    return ours


class FlaxFile:
    """An open .npz, whose names have no `params/`, and whose blocks are apart.

    Attributes:
      path: of the file.
      shapes: {name of a tensor: shape}.

    Raises:
      PretrainedError: see npz.NpzFile.
    """

    path: str
    shapes: Shapes

    def __init__(self, path: str) -> None:
        file = npz.NpzFile(path)
        prefix = "params/" if any(key.startswith("params/") for key in file.shapes) else ""
        # {name with blocks apart: (name in the file, index in the stack)}
        where: dict[str, tuple[str, int | None]] = {}
        for stored, shape in file.shapes.items():
            plain = stored.removeprefix(prefix)
            scanned = _SCANNED.match(plain)
            if scanned and shape:
                where |= {f"{scanned[1]}_{i}{scanned[2]}": (stored, i) for i in range(shape[0])}
            else:
                where[plain] = (stored, None)
        self.path = path
        self.shapes = {
            plain: file.shapes[stored] if block is None else file.shapes[stored][1:]
            for plain, (stored, block) in where.items()
        }
        self._file, self._where = file, where
        self._stack = functools.cache(file.read)  # reads a stack once; its blocks are views of it

    def read(self, plain: str) -> np.ndarray:
        """Returns the tensor of a name in `shapes`; PretrainedError if the file is damaged."""
        stored, block = self._where[plain]
        return self._file.read(stored) if block is None else self._stack(stored)[block]


class Sizes:
    """The sizes of towers, from the shapes of a file's tensors.

    Args:
      shapes: {name of a tensor: shape}, with the blocks apart.
      path: of the file, for messages.
      kind: what the file should be, for messages, such as "a SigLIP file of big_vision".
      example: the name of such a file.
    """

    def __init__(self, shapes: Shapes, path: str, kind: str, example: str) -> None:
        self._shapes, self._path, self._kind, self._example = shapes, path, kind, example

    def shape(self, tensor: str, rank: int) -> tuple[int, ...]:
        """Returns the tensor's shape; PretrainedError if it is missing or has another rank."""
        if tensor not in self._shapes:
            shown = ", ".join(sorted(self._shapes)[:3])
            raise PretrainedError(
                f"{self._path}: {tensor} is missing, so this is not {self._kind} (it has {shown}, ...); "
                f"name a file such as {self._example}"
            )
        found = self._shapes[tensor]
        if len(found) != rank or not all(found):
            raise PretrainedError(
                f"{self._path}: {tensor} is {list(found)}, but must have {rank} dimensions above 0; name another file"
            )
        return found

    def transformer(self, encoder: str, attention: str, mlp: str) -> dict[str, Any]:
        """Returns the settings of a transformer.

        Args:
          encoder: name of the encoder, such as `img/Transformer`.
          attention: name of the attention in a block.
          mlp: name of the MLP in a block.
        """
        width, heads, _ = self.shape(f"{encoder}/encoderblock_0/{attention}/query/kernel", 3)
        _, mlp_dim = self.shape(f"{encoder}/encoderblock_0/{mlp}/Dense_0/kernel", 2)
        if width % heads:
            raise PretrainedError(
                f"{self._path}: {encoder} has {heads} heads, but they must divide its width of {width}; "
                "name another file"
            )
        depth = encoder.count("/") + 1
        blocks = {key.split("/")[depth] for key in self._shapes if key.startswith(f"{encoder}/encoderblock_")}
        return {"width": width, "heads": heads, "mlp_dim": mlp_dim, "depth": len(blocks)}

    def pictures(self, kernel: str, positions: str, size: int | None, has_class: bool = False) -> dict[str, Any]:
        """Returns size, patch and cut_to_patches of an image tower.

        Args:
          kernel: name of the kernel of the patches.
          positions: name of the position embeddings of a square grid.
          size: side of the pictures in pixels; None takes the smallest that the grid covers.
          has_class: whether the first position is the class token's.
        """
        patch, count = self.shape(kernel, 4)[0], self.shape(positions, 3)[1]
        grid = math.isqrt(count - has_class)
        if grid * grid != count - has_class:
            first = "one for the class token and " if has_class else ""
            raise PretrainedError(
                f"{self._path}: {positions} has {count} positions, but must have {first}a square grid of patches; "
                "name another file"
            )
        size = size or grid * patch
        if size // patch != grid:
            raise PretrainedError(
                f"{self._path}: pictures of {size} px have {size // patch} x {size // patch} patches of {patch} px, "
                f"but {positions} has {grid} x {grid}; name a size from {grid * patch} to {grid * patch + patch - 1}"
            )
        return {"size": size, "patch": patch, "cut_to_patches": size % patch > 0}
