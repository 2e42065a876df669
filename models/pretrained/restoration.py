"""Puts a checkpoint's weights into the variables of a model, and checks that they fit."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from models import settings
from models.optimizers.parameters import name
from models.pretrained import layout, vocabularies
from models.pretrained.checkpoint import TOKEN_EMBEDDING, Checkpoint, require_none, shown
from models.pretrained.errors import PretrainedError
from models.pretrained.image_tower import PretrainedImageTower
from models.pretrained.trained_model import TrainedModel
from models.settings.pretrained import PARTS, TOWERS

Loaded = Checkpoint | PretrainedImageTower | TrainedModel
# Settings that change a tower's output, but not the shapes of its weights: they must agree with the checkpoint's.
_ANSWERS = {
    "image_tower": ("activation", "pooling"),
    "text_tower": ("activation", "pooling", "causal", "pad_id"),
}
# Settings that change a tower's input: they may differ from the checkpoint's, and a line says so.
INPUTS = {
    "image_tower": ("interpolation", "antialias", "resize", "cut_to_patches"),
    "text_tower": ("punctuation",),
}
_POSITIONS = "image_tower/position_embedding"


def require_fit(checkpoint: Loaded, config: settings.ObjectiveSettings, parts: tuple[str, ...]) -> None:
    """Raises PretrainedError if `restore` would, but needs no model; assumes that the vocabulary fits.

    Of a TrainedModel it checks the towers only; `restore` checks the rest.
    """
    _require_same_settings(config, checkpoint, parts)
    if not isinstance(config, settings.TwoTowersSettings):
        return
    if isinstance(checkpoint, TrainedModel):
        held = {checkpoint.part(key) for key in checkpoint.weights}  # Simla has no text tower of its own
        parts = tuple(part for part in parts if part in TOWERS and part in held)
    towers = settings.SiglipSettings(config.image_tower, config.text_tower)
    rows = checkpoint.weights.get(TOKEN_EMBEDDING, np.zeros([0, 0])).shape[0]
    expected = layout.shapes(towers, rows)
    _require_same_shapes(checkpoint, expected, {key: value.shape for key, value in checkpoint.weights.items()}, parts)


def differing_inputs(checkpoint: Loaded, config: settings.ObjectiveSettings, parts: tuple[str, ...]) -> list[str]:
    """Returns a line for each setting that prepares pictures or texts differently from the checkpoint's."""
    return [
        f"{problem}; `python -m models.pretrained inspect --from={checkpoint.source}` prints the checkpoint's"
        for problem in _differences(INPUTS, config, checkpoint, parts)
    ]


def restore(
    variables: Sequence[tf.Variable],
    checkpoint: Loaded,
    parts: tuple[str, ...] = PARTS,
    config: settings.TwoTowersSettings | settings.EmbeddingSettings | None = None,
) -> None:
    """Sets variables to the checkpoint's values, and uses each variable and each value of the parts exactly once.

    The image tower may have another size: `resize_positions` then resizes its position embeddings. The text tower's
    length must be the same, since the tower is pooled at its last position.

    Args:
      variables: built variables of an objective or a tower; those outside the parts keep their values.
      checkpoint: a checkpoint whose towers have the same settings, except for the size of pictures.
      parts: which of "image_tower", "text_tower" and "scalars" (t' and b) to set.
      config: settings of the towers; those that change a tower's output but not the shapes of its weights, such as the
        activation, must equal the checkpoint's. None skips this check.

    Raises:
      PretrainedError: variables and values, or settings, differ; the message shows both.
    """
    if config is not None:
        _require_same_settings(config, checkpoint, parts)
    chosen = {name(variable): variable for variable in variables if checkpoint.part(name(variable)) in parts}
    values = {key: value for key, value in checkpoint.weights.items() if checkpoint.part(key) in parts}
    if _POSITIONS in chosen and _POSITIONS in values:
        tower = getattr(checkpoint.config, "image_tower", None)
        has_class = tower is not None and tower.pooling == "cls"
        values[_POSITIONS] = resize_positions(values[_POSITIONS], chosen[_POSITIONS].shape[1], has_class)
    here = {key: tuple(variable.shape.as_list()) for key, variable in chosen.items()}
    _require_same_shapes(checkpoint, here, {key: value.shape for key, value in values.items()}, parts)
    for key, variable in chosen.items():
        variable.assign(values[key])


def require_same_vocabulary(checkpoint: Loaded, path: str, parts: tuple[str, ...]) -> None:
    """Raises PretrainedError if the text tower would get other token ids than in its training."""
    if "text_tower" not in parts or checkpoint.vocabulary is None:
        return
    with tf.io.gfile.GFile(path, "rb") as file:
        given = file.read()
    if given != checkpoint.vocabulary:
        if vocabularies.is_cut_from(checkpoint.vocabulary, given):
            raise PretrainedError(
                f"{path} has more pieces than {checkpoint.source} has embeddings, like mT5's file; set Vocabulary.path "
                f"to assets/vocabulary.model of `python -m models.pretrained convert --from={checkpoint.source} "
                "--to=converted --format=saved_model`"
            )
        raise PretrainedError(
            f"{checkpoint.source}: the text tower was trained with another vocabulary than {path}; set "
            "Vocabulary.path to the checkpoint's (spiece.model, or assets/vocabulary.model of a SavedModel), or "
            "leave text_tower out of Pretrained.parts"
        )


def resize_positions(positions: np.ndarray, count: int, has_class: bool = False) -> np.ndarray:
    """Resizes position embeddings [1, n, width] of a square grid to [1, count, width], bilinear with antialiasing.

    The position of a class token comes first and stays as it is.

    Raises:
      PretrainedError: n or `count`, less one for a class token, is not a square number.
    """
    kept, grid = positions[:, : int(has_class)], positions[:, int(has_class) :]
    old, new = math.isqrt(grid.shape[1]), math.isqrt(count - has_class)
    if old * old != grid.shape[1] or new * new != count - has_class:
        raise PretrainedError(
            f"{_POSITIONS} has {positions.shape[1]} positions in the checkpoint and {count} in the model, but both "
            "must be square grids; change ImageTower.size or ImageTower.patch"
        )
    if old == new:
        return positions
    square = grid.reshape(1, old, old, -1)
    resized = tf.image.resize(square, [new, new], method="bilinear", antialias=True).numpy()
    return np.concatenate([kept, resized.reshape(1, new * new, -1)], axis=1)


def _require_same_settings(config: Any, checkpoint: Loaded, parts: tuple[str, ...]) -> None:
    if isinstance(checkpoint, PretrainedImageTower) and parts != ("image_tower",):
        raise PretrainedError(
            f"Pretrained.parts is {parts}, but {checkpoint.source} holds an image tower alone; set "
            "Pretrained.parts = ('image_tower',)"
        )
    problems = list(_differences(_ANSWERS, config, checkpoint, parts))
    require_none(checkpoint.source, problems, "Give the towers the checkpoint's settings")


def _differences(
    fields: dict[str, tuple[str, ...]], config: Any, checkpoint: Loaded, parts: tuple[str, ...]
) -> Iterator[str]:
    for tower, names in fields.items():
        here, there = getattr(config, tower, None), getattr(checkpoint.config, tower, None)
        for field in names if tower in parts and here is not None else ():
            mine, theirs = getattr(here, field), getattr(there, field)
            if mine != theirs:
                yield f"{tower}'s {field} is {theirs!r} in the checkpoint and {mine!r} in the model"


def _require_same_shapes(
    checkpoint: Loaded, ours: layout.Shapes, theirs: layout.Shapes, parts: tuple[str, ...]
) -> None:
    """Raises PretrainedError unless both have the same variables in the parts; only patches may differ in number."""
    problems = []
    for key in dict.fromkeys([*ours, *theirs]):
        here, there = ours.get(key), theirs.get(key)
        resized = key == _POSITIONS and here and there and here[-1] == there[-1]
        if checkpoint.part(key) in parts and here != there and not resized:
            problems.append(f"{key} is {shown(there)} in the checkpoint and {shown(here)} in the model")
    fix = "Give the towers the checkpoint's settings and vocabulary, or leave a part out of Pretrained.parts"
    require_none(checkpoint.source, problems, fix)
