"""Pairs the tensors of a format with our variables. Each is used exactly once, both ways, and values never change."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from models.pretrained.checkpoint import require_none
from models.pretrained.errors import PretrainedError
from models.pretrained.layout import Shape, Shapes

_EXACT = ("float32", "float16", "bfloat16")  # float32 represents all of their values


@dataclasses.dataclass(frozen=True)
class Pair:
    """One tensor of a format, and the variables of ours that it holds.

    Attributes:
      theirs: name of the tensor in the format.
      ours: names of our variables; several are concatenated along the tensor's first axis.
      flat: shape to which each of our variables is reshaped before its axes are permuted.
      axes: the permutation of these axes that gives the format's order.
    """

    theirs: str
    ours: tuple[str, ...]
    flat: Shape
    axes: tuple[int, ...]

    @property
    def shape(self) -> Shape:
        """Shape of the tensor in the format."""
        first, *rest = (self.flat[axis] for axis in self.axes)
        return (first * len(self.ours), *rest)

    def to_theirs(self, weights: Mapping[str, np.ndarray]) -> np.ndarray:
        """Makes the format's tensor from our weights."""
        parts = [weights[name].reshape(self.flat).transpose(self.axes) for name in self.ours]
        return np.ascontiguousarray(parts[0] if len(parts) == 1 else np.concatenate(parts))

    def to_ours(self, tensor: np.ndarray, shapes: Shapes) -> dict[str, np.ndarray]:
        """Makes the values of our variables from the format's tensor."""
        parts = np.split(tensor, len(self.ours)) if len(self.ours) > 1 else [tensor]
        back = np.argsort(self.axes)
        return {
            name: np.ascontiguousarray(part.transpose(back)).reshape(shapes[name])
            for name, part in zip(self.ours, parts, strict=True)
        }


def same(theirs: str, ours: str, shape: Shape) -> Pair:
    """A pair of equal shapes; our scalar is a tensor of shape [1] in the format."""
    return Pair(theirs, (ours,), shape or (1,), tuple(range(len(shape or (1,)))))


def transposed(theirs: str, ours: Iterable[str], rows: int, columns: int) -> Pair:
    """A matrix: [outputs, inputs] in the format, [inputs, outputs] in ours, where either may be split into heads."""
    return Pair(theirs, tuple(ours), (rows, columns), (1, 0))


def flattened(theirs: str, ours: Iterable[str], shape: Shape) -> Pair:
    """A vector in the format; our variable may have any shape of that size."""
    return Pair(theirs, tuple(ours), (math.prod(shape),), (0,))


def read(
    pairs: Iterable[Pair], shapes: Shapes, found: Shapes, load: Callable[[str], np.ndarray], source: str
) -> dict[str, np.ndarray]:
    """Makes our weights, float32, from a format's tensors.

    Args:
      pairs: one for each tensor; together they name all our variables.
      shapes: {name of our variable: shape}.
      found: {name of a tensor in the file: shape}.
      load: returns the tensor of a name.
      source: the file or folder, for messages.

    Raises:
      PretrainedError: a tensor is missing, matches none of our variables, or has another shape or type.
    """
    pairs = list(pairs)
    known = {pair.theirs for pair in pairs}
    problems = []
    for pair in pairs:
        ours = f"our {' + '.join(pair.ours)} {list(shapes[pair.ours[0]])}"
        if pair.theirs not in found:
            problems.append(f"{pair.theirs} {list(pair.shape)} is missing, but must hold {ours}")
        elif tuple(found[pair.theirs]) != pair.shape:
            have = list(found[pair.theirs])
            problems.append(f"{pair.theirs} is {have}, but must be {list(pair.shape)} for {ours}")
    problems += [f"{name} {list(found[name])} matches none of our variables" for name in found if name not in known]
    require_none(source, problems, "The file holds another model, or lost or renamed tensors; name another file")
    weights = {}
    for pair in pairs:
        weights.update(pair.to_ours(_as_float32(load(pair.theirs), pair.theirs, source), shapes))
    return weights


def write(pairs: Iterable[Pair], weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Makes a format's tensors from our weights; ValueError unless the pairs name each weight once."""
    pairs = list(pairs)
    named = [name for pair in pairs for name in pair.ours]
    if sorted(named) != sorted(weights):
        different = sorted(set(named) ^ set(weights)) or "one is named twice"
        raise ValueError(f"the pairs of the format must name each weight once, but differ in: {different}")
    return {pair.theirs: pair.to_theirs(weights) for pair in pairs}


def _as_float32(tensor: np.ndarray, name: str, source: str) -> np.ndarray:
    if tensor.dtype.name not in _EXACT:
        raise PretrainedError(
            f"{source}: {name} is {tensor.dtype.name}, but must be one of {', '.join(_EXACT)}; save it as float32"
        )
    return tensor.astype(np.float32, copy=False)


def with_text_head(
    found: Shapes, load: Callable[[str], np.ndarray], kernel: str, bias: str, width: int
) -> tuple[Shapes, Callable[[str], np.ndarray]]:
    """Gives a file without a head after the text tower one that is the identity, which changes no bit.

    Args:
      found: shapes of the file's tensors.
      load: reads one of them.
      kernel: name of the head's kernel in the file.
      bias: name of its bias.
      width: of the text tower.

    Returns:
      `found` and `load`, with both tensors; as they are if the file has one of them.
    """
    if kernel in found or bias in found:
        return found, load
    identity: dict[str, np.ndarray] = {kernel: np.eye(width, dtype=np.float32), bias: np.zeros(width, np.float32)}

    def completed(name: str) -> np.ndarray:
        return identity[name] if name in identity else load(name)

    return {**found, **{name: value.shape for name, value in identity.items()}}, completed
