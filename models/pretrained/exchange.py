"""Tensors of a format against our variables: each is used exactly once, in both directions, and values never change."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from models.pretrained.checkpoint import require_none
from models.pretrained.errors import PretrainedError
from models.pretrained.layout import Shape, Shapes

_EXACT = ("float32", "float16", "bfloat16")  # all of whose values float32 has


@dataclasses.dataclass(frozen=True)
class Pair:
    """One tensor of a format and what it holds of ours.

    Attributes:
      theirs: its name in the format.
      ours: names of our variables; several lie one after the other along its first axis.
      flat: the shape that each of ours is given first,
      axes: and the order its axes then have in the format.
    """

    theirs: str
    ours: tuple[str, ...]
    flat: Shape
    axes: tuple[int, ...]

    @property
    def shape(self) -> Shape:
        """Its shape in the format."""
        first, *rest = (self.flat[axis] for axis in self.axes)
        return (first * len(self.ours), *rest)

    def to_theirs(self, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        """The format's tensor."""
        parts = [weights[name].reshape(self.flat).transpose(self.axes) for name in self.ours]
        return np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def to_ours(self, tensor: np.ndarray, shapes: Shapes) -> dict[str, np.ndarray]:
        """Our variables' values."""
        parts = np.split(tensor, len(self.ours)) if len(self.ours) > 1 else [tensor]
        back = np.argsort(self.axes)
        return {
            name: np.ascontiguousarray(part.transpose(back)).reshape(shapes[name])
            for name, part in zip(self.ours, parts, strict=True)
        }


def same(theirs: str, ours: str, shape: Shape) -> Pair:
    """A pair of equal shape; a scalar of ours is theirs of shape [1]."""
    return Pair(theirs, (ours,), shape or (1,), tuple(range(len(shape or (1,)))))


def transposed(theirs: str, ours: Iterable[str], rows: int, columns: int) -> Pair:
    """A matrix that the format keeps as [outputs, inputs], and we as [inputs, outputs], or with heads for either."""
    return Pair(theirs, tuple(ours), (rows, columns), (1, 0))


def flattened(theirs: str, ours: Iterable[str], shape: Shape) -> Pair:
    """A vector, of any shape in ours."""
    return Pair(theirs, tuple(ours), (math.prod(shape),), (0,))


def read(
    pairs: Iterable[Pair], shapes: Shapes, found: Shapes, load: Callable[[str], np.ndarray], source: str
) -> dict[str, np.ndarray]:
    """Our weights, float32, from a format's tensors.

    Args:
      pairs: of all our variables.
      shapes: of all our variables.
      found: names and shapes of all tensors in the file.
      load: gives a tensor by its name.
      source: the file or folder, for messages.

    Raises:
      PretrainedError: a tensor is missing, belongs to nothing of ours, or has another shape or type.
    """
    pairs = list(pairs)
    known = {pair.theirs for pair in pairs}
    problems = []
    for pair in pairs:
        ours = f"our {' + '.join(pair.ours)} {list(shapes[pair.ours[0]])}"
        if pair.theirs not in found:
            problems.append(f"{pair.theirs} {list(pair.shape)} is missing, which {ours} is read from")
        elif tuple(found[pair.theirs]) != pair.shape:
            have = list(found[pair.theirs])
            problems.append(f"{pair.theirs} is {have}, but must be {list(pair.shape)} for {ours}")
    problems += [f"{name} {list(found[name])} belongs to no variable of ours" for name in found if name not in known]
    require_none(source, problems, "The file is of another model than its config or tensors say, or was cut or renamed")
    weights = {}
    for pair in pairs:
        weights.update(pair.to_ours(_as_float32(load(pair.theirs), pair.theirs, source), shapes))
    return weights


def write(pairs: Iterable[Pair], weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A format's tensors from our weights; ValueError where the pairs do not name each weight once."""
    pairs = list(pairs)
    named = [name for pair in pairs for name in pair.ours]
    if sorted(named) != sorted(weights):
        different = sorted(set(named) ^ set(weights)) or "one is named twice"
        raise ValueError(f"the format's tensors must be made of each weight once, but: {different}")
    return {pair.theirs: pair.to_theirs(weights) for pair in pairs}


def _as_float32(tensor: np.ndarray, name: str, source: str) -> np.ndarray:
    if tensor.dtype.name not in _EXACT:
        raise PretrainedError(
            f"{source}: {name} is {tensor.dtype.name}, but must be one of {', '.join(_EXACT)}; save it as float32"
        )
    return tensor.astype(np.float32, copy=False)
