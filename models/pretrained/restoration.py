"""From a checkpoint into the variables of a model that is about to be trained or served."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from models import settings
from models.optimizers.parameters import name
from models.pretrained import layout, vocabularies
from models.pretrained.checkpoint import Checkpoint, require_none, shown
from models.pretrained.errors import PretrainedError
from models.settings.pretrained import PARTS

_SCALARS = ("log_scale", "bias")
# What changes a tower's answer, and not the shape of its weights.
_ANSWERS = {
    "image_tower": ("activation", "pooling"),
    "text_tower": ("activation", "pooling", "causal", "pad_id"),
}
# What changes what a tower is given: a choice, so it is told and not refused.
_INPUTS = {"image_tower": ("interpolation", "resize", "cut_to_patches"), "text_tower": ("strip_punctuation",)}
_POSITIONS = "image_tower/position_embedding"


def require_fit(checkpoint: Checkpoint, config: settings.TwoTowersSettings, parts: tuple[str, ...]) -> None:
    """Raises PretrainedError where `restore` would, before there is a model; the vocabulary is taken to fit."""
    _require_same_settings(config, checkpoint, parts)
    towers = settings.SiglipSettings(config.image_tower, config.text_tower)
    expected = layout.shapes(towers, checkpoint.vocabulary_size)
    _require_same_shapes(checkpoint, expected, {key: value.shape for key, value in checkpoint.weights.items()}, parts)


def differing_inputs(checkpoint: Checkpoint, config: settings.TwoTowersSettings, parts: tuple[str, ...]) -> list[str]:
    """A line for each way in which pictures or texts are prepared otherwise than for the checkpoint."""
    return [
        f"{problem}; `python -m models.pretrained inspect --from={checkpoint.source}` prints the checkpoint's"
        for problem in _differences(_INPUTS, config, checkpoint, parts)
    ]


def restore(
    variables: Sequence[tf.Variable],
    checkpoint: Checkpoint,
    parts: tuple[str, ...] = PARTS,
    config: settings.TwoTowersSettings | settings.EmbeddingSettings | None = None,
) -> None:
    """Sets variables to the checkpoint's values; each variable of the parts, and each value, exactly once.

    The image tower may be of another size: its position embeddings are resized, as `resize_positions` says. The text
    tower's length must be the same, since the tower is pooled at its last position.

    Args:
      variables: of an objective or a tower, built; those outside the parts are left alone.
      checkpoint: of towers of the same settings but for the size of pictures.
      parts: of "image_tower", "text_tower" and "scalars" (t' and b), what to set.
      config: whose towers the variables belong to; what changes a tower's answer and not the shape of its weights,
        such as the activation, is held against the checkpoint's.

    Raises:
      PretrainedError: variables and values, or settings, differ; the message names both sides.
    """
    if config is not None:
        _require_same_settings(config, checkpoint, parts)
    chosen = {name(variable): variable for variable in variables if _part(name(variable)) in parts}
    values = {key: value for key, value in checkpoint.weights.items() if _part(key) in parts}
    if _POSITIONS in chosen and _POSITIONS in values:
        has_class = checkpoint.config.image_tower.pooling == "cls"
        values[_POSITIONS] = resize_positions(values[_POSITIONS], chosen[_POSITIONS].shape[1], has_class)
    here = {key: tuple(variable.shape.as_list()) for key, variable in chosen.items()}
    _require_same_shapes(checkpoint, here, {key: value.shape for key, value in values.items()}, parts)
    for key, variable in chosen.items():
        variable.assign(values[key])


def require_same_vocabulary(checkpoint: Checkpoint, path: str, parts: tuple[str, ...]) -> None:
    """Raises PretrainedError where a text tower would be given other token ids than it was trained with."""
    if "text_tower" not in parts or checkpoint.vocabulary is None:
        return
    with tf.io.gfile.GFile(path, "rb") as file:
        given = file.read()
    if given != checkpoint.vocabulary:
        if vocabularies.is_cut_from(checkpoint.vocabulary, given):
            raise PretrainedError(
                f"{path} has more pieces than {checkpoint.source} has rows for, as mT5's file has; set Vocabulary.path "
                f"to assets/vocabulary.model of `python -m models.pretrained convert --from={checkpoint.source} "
                "--to=converted --format=saved_model`"
            )
        raise PretrainedError(
            f"{checkpoint.source}: the text tower was trained with another vocabulary than {path}; set "
            "Vocabulary.path to the checkpoint's (spiece.model, or assets/vocabulary.model of a SavedModel), or "
            "leave text_tower out of Pretrained.parts"
        )


def resize_positions(positions: np.ndarray, count: int, has_class: bool = False) -> np.ndarray:
    """Position embeddings [1, n, width] of a square grid -> [1, count, width], bilinear and antialiased on the grid.

    A class token's, which comes first, stays as it is.

    Raises:
      PretrainedError: n or `count` is no square (and one, for a class token).
    """
    kept, grid = positions[:, : int(has_class)], positions[:, int(has_class) :]
    old, new = math.isqrt(grid.shape[1]), math.isqrt(count - has_class)
    if old * old != grid.shape[1] or new * new != count - has_class:
        raise PretrainedError(
            f"{_POSITIONS} has {positions.shape[1]} positions there and {count} here, which are not both square grids"
        )
    if old == new:
        return positions
    square = grid.reshape(1, old, old, -1)
    resized = tf.image.resize(square, [new, new], method="bilinear", antialias=True).numpy()
    return np.concatenate([kept, resized.reshape(1, new * new, -1)], axis=1)


def _part(key: str) -> str:
    return "scalars" if key in _SCALARS else key.split("/")[0]


def _require_same_settings(config: Any, checkpoint: Checkpoint, parts: tuple[str, ...]) -> None:
    problems = list(_differences(_ANSWERS, config, checkpoint, parts))
    require_none(checkpoint.source, problems, "Give the towers the checkpoint's settings")


def _differences(
    fields: dict[str, tuple[str, ...]], config: Any, checkpoint: Checkpoint, parts: tuple[str, ...]
) -> Iterator[str]:
    for tower, names in fields.items():
        here, there = getattr(config, tower, None), getattr(checkpoint.config, tower)
        for field in names if tower in parts and here is not None else ():
            mine, theirs = getattr(here, field), getattr(there, field)
            if mine != theirs:
                yield f"{tower}'s {field} is {theirs!r} there and {mine!r} here"


def _require_same_shapes(
    checkpoint: Checkpoint, ours: layout.Shapes, theirs: layout.Shapes, parts: tuple[str, ...]
) -> None:
    """Of the parts, each variable of either side on both; positions of pictures may be more or fewer."""
    problems = []
    for key in dict.fromkeys([*ours, *theirs]):
        here, there = ours.get(key), theirs.get(key)
        resized = key == _POSITIONS and here and there and here[-1] == there[-1]
        if _part(key) in parts and here != there and not resized:
            problems.append(f"{key} is {shown(there)} there and {shown(here)} here")
    fix = "Give the towers the checkpoint's settings and vocabulary, or leave a part out of Pretrained.parts"
    require_none(checkpoint.source, problems, fix)
