"""`PretrainedImageTower`: an image tower alone, in memory, such as a supervised ViT, to start training from."""

import dataclasses

import numpy as np

from models import settings
from models.pretrained import layout
from models.pretrained.checkpoint import Note, require_finite, require_same_shapes


@dataclasses.dataclass(frozen=True)
class ImageTowerAlone:
    """The settings of a PretrainedImageTower, under the name that an objective's settings use."""

    image_tower: settings.ImageTowerSettings


@dataclasses.dataclass(frozen=True)
class PretrainedImageTower:
    """An image tower without text tower and scalars: `Pretrained.parts` must be ('image_tower',).

    Attributes:
      config: settings of the tower.
      weights: {name of our variable: float32 array}, with the shapes of layout.image_tower_shapes.
      source: the file or folder that the tower was read from, for messages.
      notes: what the reader assumed, chose or ignored.

    Raises:
      PretrainedError: a weight is missing, unknown, misshapen, not float32 or not finite.
    """

    config: ImageTowerAlone
    weights: dict[str, np.ndarray]
    source: str
    notes: tuple[Note, ...] = ()
    vocabulary: None = None

    def __post_init__(self) -> None:
        found = {name: array.shape for name, array in self.weights.items()}
        expected = layout.image_tower_shapes(self.config.image_tower)
        require_same_shapes(f"{self.source}: the checkpoint", expected, found)
        require_finite(self.source, self.weights)

    @staticmethod
    def part(key: str) -> str:
        """The part that a variable belongs to: "image_tower", "text_tower" or "scalars"."""
        return key.split("/")[0] if "/" in key else "scalars"

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(array.size for array in self.weights.values())
