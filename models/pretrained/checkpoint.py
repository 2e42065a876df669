"""`Checkpoint`: a SigLIP model in memory, which every format is read into and written from."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from models import settings
from models.pretrained import layout, vocabularies
from models.pretrained.errors import PretrainedError

TOKEN_EMBEDDING = "text_tower/token_embedding/embeddings"
_SHOWN = 3
_LARGEST_LOG_SCALE = 20
_SCALARS = ("log_scale", "bias")


@dataclasses.dataclass(frozen=True)
class Note:
    """What a reader assumed or chose because the checkpoint's files do not say it.

    Attributes:
      part: the part that it concerns, "image_tower" or "text_tower".
      text: one sentence, which names the file and the setting.
    """

    part: str
    text: str


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A SigLIP model, independent of TensorFlow and of its file format.

    Attributes:
      config: settings of the towers; logit_scale and logit_bias are set from the weights: exp(t') and b.
      weights: {name of our variable: float32 array}, with the shapes of models.pretrained.layout.
      vocabulary: the SentencePiece model, with one piece for each row of the token embedding; None if it is not known.
      source: the file or folder that the model was read from, for messages.
      notes: what the reader assumed or chose.

    Raises:
      PretrainedError: a weight is missing, unknown, misshapen, not float32 or not finite, or the vocabulary has more or
        fewer pieces than the token embedding has rows.
    """

    config: settings.SiglipSettings
    weights: dict[str, np.ndarray]
    vocabulary: bytes | None
    source: str
    notes: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        expected = layout.shapes(self.config, self.vocabulary_size)
        found = {name: array.shape for name, array in self.weights.items()}
        require_same_shapes(f"{self.source}: the checkpoint", expected, found)
        require_finite(self.source, self.weights)
        if self.vocabulary is not None:
            fitted = vocabularies.fit(self.vocabulary, self.vocabulary_size, self.source)
            object.__setattr__(self, "vocabulary", fitted)
        if abs(self.weights["log_scale"]) > _LARGEST_LOG_SCALE:
            raise PretrainedError(
                f"{self.source}: log_scale is {self.weights['log_scale']}, but must be the logarithm of t, in "
                f"[-{_LARGEST_LOG_SCALE}, {_LARGEST_LOG_SCALE}]; the checkpoint is damaged, so get another copy"
            )
        scale, bias = math.exp(self.weights["log_scale"]), float(self.weights["bias"])
        object.__setattr__(self, "config", dataclasses.replace(self.config, logit_scale=scale, logit_bias=bias))

    @staticmethod
    def part(key: str) -> str:
        """The part that a variable belongs to: "image_tower", "text_tower" or "scalars"."""
        return "scalars" if key in _SCALARS else key.split("/")[0]

    @property
    def vocabulary_size(self) -> int:
        """Number of rows of the token embedding."""
        rows = self.weights.get(TOKEN_EMBEDDING, np.zeros([0, 0])).shape
        return rows[0] if rows else 0

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(array.size for array in self.weights.values())


def require_same_shapes(where: str, expected: layout.Shapes, found: layout.Shapes) -> None:
    """Raises PretrainedError, which shows both shapes, unless names and shapes are equal."""
    require_none(
        where,
        [
            f"{name} is {shown(found.get(name))}, not {shown(expected.get(name))}"
            for name in [*expected, *(name for name in found if name not in expected)]
            if found.get(name) != expected.get(name)
        ],
        "The settings describe another model; use those of this one",
    )


def require_finite(source: str, weights: Mapping[str, np.ndarray]) -> None:
    """Raises PretrainedError unless each weight is float32 and finite."""
    for name, array in weights.items():
        if array.dtype != np.float32 or not math.isfinite(array.sum(dtype=np.float64)):
            problem = f"is {array.dtype}, not float32" if array.dtype != np.float32 else "has NaN or infinite values"
            raise PretrainedError(f"{source}: {name} {problem}; the checkpoint is damaged, so get another copy")


def require_none(where: str, problems: list[str], fix: str) -> None:
    """Raises PretrainedError with the first few problems and the fix, if there are problems."""
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise PretrainedError(f"{where} does not fit: {'; '.join(problems[:_SHOWN])}{more}. {fix}")


def shown(shape: layout.Shape | None) -> str:
    """Formats a shape for a message; None becomes "missing"."""
    return "missing" if shape is None else str(list(shape))
