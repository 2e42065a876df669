"""`TrainedModel`: our own model of any objective, in memory, to start another training from."""

import dataclasses

import numpy as np

from models import settings
from models.settings.pretrained import TOWERS


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """The exported variables of an objective. `Checkpoint` is the SigLIP model that other formats can hold, too.

    Attributes:
      config: settings of its objective.
      weights: {name of a variable: its value}.
      vocabulary: its SentencePiece model.
      source: the folder that it was read from, for messages.
    """

    config: settings.ObjectiveSettings
    weights: dict[str, np.ndarray]
    vocabulary: bytes
    source: str

    @staticmethod
    def part(key: str) -> str:
        """The part that a variable belongs to: its tower, or "scalars", which stands for all that is in no tower."""
        tower = key.split("/")[0]
        return tower if tower in TOWERS else "scalars"
