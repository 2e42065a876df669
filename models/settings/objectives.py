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

    @property
    def locked(self) -> tuple[str, ...]:
        """Towers that never learn, and so must come from Training.pretrained."""
        return ()

    @property
    def reads_embeddings(self) -> bool:
        """Whether training reads the embeddings of pictures, computed beforehand, in place of pictures."""
        return False


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


@configurable("Siglit")
@dataclasses.dataclass(frozen=True)
class SiglitSettings(SiglipSettings):
    """SigLIP with a locked image tower: only the text tower learns (SigLiT in arXiv 2303.15343; arXiv 2111.07991).

    Training.pretrained says where the image tower comes from.

    Attributes:
      precomputed: embed all training pictures once, before training, which then never runs the image tower. They are
        embedded as they are, so that nothing may be augmented.
    """

    precomputed: bool = False

    @property
    def locked(self) -> tuple[str, ...]:
        return ("image_tower",)

    @property
    def reads_embeddings(self) -> bool:
        return self.precomputed


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
