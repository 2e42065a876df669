"""Mix-ups of weights that keep every shape; a comparison of outputs must find each of them."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from models.pretrained import Checkpoint
from models.pretrained.image_tower import PretrainedImageTower
from tests.models.pretrained import flax_vit

# {name of a weight: the name whose value replaces it, or what changes its value}
MixUp = Mapping[str, str | Callable[[np.ndarray], np.ndarray]]


Loaded = TypeVar("Loaded", Checkpoint, PretrainedImageTower)


def planted(loaded: Loaded, mix_up: MixUp) -> Loaded:
    """The checkpoint with a mix-up."""
    right = loaded.weights
    wrong = {name: right[how] if isinstance(how, str) else how(right[name]) for name, how in mix_up.items()}
    return dataclasses.replace(loaded, weights=right | wrong)


def _swapped(one: str, other: str, parts: tuple[str, ...] = ("kernel", "bias")) -> dict[str, str]:
    """{name: the name whose value replaces its own}."""
    return {f"{a}/{part}": f"{b}/{part}" for a, b in ((one, other), (other, one)) for part in parts}


def _transposed(kernel: np.ndarray) -> np.ndarray:
    return kernel.reshape(kernel.shape[0], -1).T.reshape(kernel.shape)


def _columns_first(positions: np.ndarray) -> np.ndarray:
    grid = positions[:, 1:].reshape(flax_vit.GRID, flax_vit.GRID, -1)
    return np.concatenate([positions[:, :1], grid.transpose(1, 0, 2).reshape(1, -1, grid.shape[-1])], axis=1)


def _merged_otherwise(kernel: np.ndarray) -> np.ndarray:
    """The heads of a projection, where the head is the inner axis and not the outer one."""
    return kernel.reshape(kernel.shape[0], -1, flax_vit.HEADS).transpose(0, 2, 1)


_ATTENTION, _MLP = "image_tower/encoder/block_1/attention", "image_tower/encoder/block_1/mlp"
_TEXT, _HEAD = "text_tower/encoder/block_0/attention", "image_tower/head/attention"
_POSITIONS, _CLASS, _PATCHES = (
    "image_tower/position_embedding",
    "image_tower/class_token",
    "image_tower/patch_embedding",
)
_OF_A_PATCH: dict[str, MixUp] = {
    "rows for columns of a patch": {f"{_PATCHES}/kernel": lambda kernel: kernel.transpose(1, 0, 2, 3)},
    "blue for red": {f"{_PATCHES}/kernel": lambda kernel: kernel[:, :, ::-1]},
}

# Of an image tower with the sizes of flax_vit and a class token.
CLASS_TOKEN_TOWER: dict[str, MixUp] = {
    "swapped query and key": _swapped(f"{_ATTENTION}/query", f"{_ATTENTION}/key"),
    "swapped key and value": _swapped(f"{_ATTENTION}/key", f"{_ATTENTION}/value"),
    "transposed kernel": {f"{_ATTENTION}/query/kernel": _transposed},
    "transposed kernel of the output": {
        f"{_ATTENTION}/attention_output/kernel": lambda kernel: kernel.reshape(24, 24).T.reshape(kernel.shape)
    },
    "heads merged in the other order": {f"{_ATTENTION}/query/kernel": _merged_otherwise},
    "permuted heads of the output": {f"{_ATTENTION}/attention_output/kernel": lambda kernel: kernel[::-1]},
    "columns of the grid first": {_POSITIONS: _columns_first},
    "position of the class token last": {_POSITIONS: lambda positions: np.roll(positions, -1, axis=1)},
    "no class token": {_CLASS: np.zeros_like},
    "swapped norms": _swapped(
        "image_tower/encoder/block_0/attention_norm", "image_tower/encoder/block_0/mlp_norm", ("gamma", "beta")
    ),
    "swapped blocks": _swapped(f"{_MLP}/expand", f"{_MLP.replace('block_1', 'block_0')}/expand"),
    **_OF_A_PATCH,
}
# Of a SigLIP model with two blocks of the image and one of the text, or more.
SIGLIP: dict[str, MixUp] = {
    "transposed kernel of the image": {f"{_ATTENTION}/query/kernel": _transposed},
    "transposed kernel of the text": {f"{_TEXT}/value/kernel": _transposed},
    "swapped query and key": _swapped(f"{_ATTENTION}/query", f"{_ATTENTION}/key"),
    "swapped key and value of the head": _swapped(f"{_HEAD}/key", f"{_HEAD}/value"),
    "permuted heads of the head": {f"{_HEAD}/query/kernel": lambda kernel: kernel[:, ::-1]},
    "permuted heads of the text": {f"{_TEXT}/query/kernel": lambda kernel: kernel[:, ::-1]},
    "permuted heads of an output": {f"{_TEXT}/attention_output/kernel": lambda kernel: kernel[::-1]},
    **_OF_A_PATCH,
    "another bias": {"bias": lambda bias: bias + np.float32(1e-4)},
}
