"""From a checkpoint into the variables of a model that is about to be trained or served."""

import math

import numpy as np
import tensorflow as tf

from models.objectives import Objective
from models.optimizers.parameters import name
from models.pretrained.checkpoint import Checkpoint, require_none
from models.pretrained.errors import PretrainedError
from models.settings.pretrained import PARTS

_SCALARS = ("log_scale", "bias")
_POSITIONS = "image_tower/position_embedding"


def restore(objective: Objective, checkpoint: Checkpoint, parts: tuple[str, ...] = PARTS) -> None:
    """Sets the objective's variables to the checkpoint's values; each variable of the parts, and each value, once.

    The image tower may be of another size: its position embeddings are resized, as `resize_positions` says. The text
    tower's length must be the same, since the tower is pooled at its last position.

    Args:
      objective: with an image and a text tower, built.
      checkpoint: of towers of the same settings but for the size of pictures.
      parts: of "image_tower", "text_tower" and "scalars" (t' and b), what to set.

    Raises:
      PretrainedError: variables and values differ in name or shape, or settings that no shape tells do.
    """
    variables = {name(variable): variable for variable in objective.trainable_variables}
    variables = {key: variable for key, variable in variables.items() if _part(key) in parts}
    values = {key: value for key, value in checkpoint.weights.items() if _part(key) in parts}
    _require_same_settings(objective, checkpoint, parts)
    if _POSITIONS in variables and _POSITIONS in values:
        values[_POSITIONS] = resize_positions(
            values[_POSITIONS], variables[_POSITIONS].shape[1], checkpoint.config.image_tower.pooling == "cls"
        )
    problems = []
    for key in [*variables, *(key for key in values if key not in variables)]:
        here = variables[key].shape.as_list() if key in variables else "missing"
        there = list(values[key].shape) if key in values else "missing"
        if here != there:
            problems.append(f"{key} is {there} there and {here} here")
    require_none(
        checkpoint.source,
        problems,
        "Give the towers the checkpoint's settings, or leave a part out of Pretrained.parts",
    )
    for key, variable in variables.items():
        variable.assign(values[key])


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


def _require_same_settings(objective: Objective, checkpoint: Checkpoint, parts: tuple[str, ...]) -> None:
    """What changes the answer of a tower and not the shape of its weights."""
    fields = {
        "image_tower": ("activation", "pooling"),
        "text_tower": ("activation", "pooling", "causal", "pad_id"),
    }
    problems = []
    for tower in fields:
        if tower in parts:
            here, there = getattr(objective.config, tower), getattr(checkpoint.config, tower)
            for field in fields[tower]:
                mine, theirs = getattr(here, field), getattr(there, field)
                if mine != theirs:
                    problems.append(f"{tower}'s {field} is {theirs!r} there and {mine!r} here")
    require_none(checkpoint.source, problems, "Give the towers the checkpoint's settings")
