"""The one form that all formats are read into and written from."""

import dataclasses
import math

import numpy as np

from models import settings
from models.pretrained import layout, vocabularies
from models.pretrained.errors import PretrainedError

TOKEN_EMBEDDING = "text_tower/token_embedding/embeddings"
_SHOWN = 3
_LARGEST_LOG_SCALE = 20


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A SigLIP model, independent of TensorFlow and of the format it came in.

    Attributes:
      config: the towers; logit_scale and logit_bias are those of the weights, exp(t') and b.
      weights: float32 by the name of our variable, each as models.pretrained.layout says.
      vocabulary: the SentencePiece model whose ids the token embedding has rows for; None where it is not known.
      source: the file or folder it came from, for messages.

    Raises:
      PretrainedError: a weight is missing, too much, misshapen, of another type or not finite, or the vocabulary has
        more or fewer pieces than the token embedding has rows.
    """

    config: settings.SiglipSettings
    weights: dict[str, np.ndarray]
    vocabulary: bytes | None
    source: str

    def __post_init__(self) -> None:
        expected = layout.shapes(self.config, self.vocabulary_size)
        found = {name: array.shape for name, array in self.weights.items()}
        require_same_shapes(f"{self.source}: the checkpoint", expected, found)
        for name, array in self.weights.items():
            if array.dtype != np.float32 or not math.isfinite(array.sum(dtype=np.float64)):
                problem = (
                    f"is {array.dtype}, not float32" if array.dtype != np.float32 else "has NaN or infinite values"
                )
                raise PretrainedError(f"{self.source}: {name} {problem}; the checkpoint is damaged, take another copy")
        if self.vocabulary is not None:
            fitted = vocabularies.fit(self.vocabulary, self.vocabulary_size, self.source)
            object.__setattr__(self, "vocabulary", fitted)
        if abs(self.weights["log_scale"]) > _LARGEST_LOG_SCALE:
            raise PretrainedError(
                f"{self.source}: log_scale is {self.weights['log_scale']}, which is no logarithm of t"
            )
        scale, bias = math.exp(self.weights["log_scale"]), float(self.weights["bias"])
        object.__setattr__(self, "config", dataclasses.replace(self.config, logit_scale=scale, logit_bias=bias))

    @property
    def vocabulary_size(self) -> int:
        """Rows of the token embedding."""
        rows = self.weights.get(TOKEN_EMBEDDING, np.zeros([0, 0])).shape
        return rows[0] if rows else 0

    @property
    def parameters(self) -> int:
        """Numbers in all weights."""
        return sum(array.size for array in self.weights.values())


def require_same_shapes(where: str, expected: layout.Shapes, found: layout.Shapes) -> None:
    """Raises PretrainedError, naming both sides, unless both have the same names and shapes."""
    require_none(
        where,
        [
            f"{name} is {shown(found.get(name))}, not {shown(expected.get(name))}"
            for name in [*expected, *(name for name in found if name not in expected)]
            if found.get(name) != expected.get(name)
        ],
        "the settings are those of another model",
    )


def require_none(where: str, problems: list[str], fix: str) -> None:
    """Raises PretrainedError with the first few problems unless there are none."""
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise PretrainedError(f"{where} does not fit: {'; '.join(problems[:_SHOWN])}{more}. {fix}")


def shown(shape: layout.Shape | None) -> str:
    """A shape, or that there is none, as messages have it."""
    return "missing" if shape is None else str(list(shape))
