"""What is trained: one settings class an objective."""

import dataclasses

from models.checks import require_positive, require_types
from models.configuration import configurable
from models.settings.towers import ImageTowerSettings, TextTowerSettings


@dataclasses.dataclass(frozen=True)
class ObjectiveSettings:
    """What every objective has.

    Attributes:
      image_tower: the Vision Transformer.
      text_tower: the text transformer.
    """

    image_tower: ImageTowerSettings = ImageTowerSettings()
    text_tower: TextTowerSettings = TextTowerSettings()

    def __post_init__(self) -> None:
        require_types(self)


@configurable("Siglip")
@dataclasses.dataclass(frozen=True)
class SiglipSettings(ObjectiveSettings):
    """Two towers and a pairwise sigmoid loss (arXiv 2303.15343).

    Attributes:
      logit_scale: exp(t') at the start; the paper's value is 10.
      logit_bias: b at the start; the paper's value is -10.
    """

    logit_scale: float = 10.0
    logit_bias: float = -10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "logit_scale")


@configurable("Softmax")
@dataclasses.dataclass(frozen=True)
class SoftmaxSettings(ObjectiveSettings):
    """Two towers and CLIP's softmax loss, the baseline of the SigLIP paper (section 3.1).

    Attributes:
      logit_scale: exp(t') at the start; SigLIP starts its softmax runs at 10, CLIP at 1 / 0.07.
    """

    logit_scale: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "logit_scale")
