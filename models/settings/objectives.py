"""What is trained: each objective has one settings class."""

import abc
from typing import Protocol, runtime_checkable

from models.settings.checks import require_positive, settings_class
from models.settings.preparation import ImageInput, TextInput
from models.settings.towers import ImageTowerSettings, TextTowerSettings


@settings_class()
class ObjectiveSettings(abc.ABC):
    """Base class of the settings of an objective: what the rest of the system asks of any of them."""

    @property
    @abc.abstractmethod
    def image_input(self) -> ImageInput:
        """How pictures are prepared, in training and in serving."""

    @property
    @abc.abstractmethod
    def text_input(self) -> TextInput:
        """How texts are prepared, in training and in serving."""

    @property
    def locked(self) -> tuple[str, ...]:
        """Towers that never learn; their weights must come from Training.pretrained."""
        return ()


@runtime_checkable
class PrecomputesEmbeddings(Protocol):
    """Settings of an objective that can train on image embeddings computed before training."""

    @property
    def precomputed_tower(self) -> ImageTowerSettings | None:
        """The locked tower that computes them; None if training reads pictures."""


def precomputed_tower(objective: ObjectiveSettings) -> ImageTowerSettings | None:
    """The image tower whose embeddings training reads in place of pictures; None if training reads pictures."""
    return objective.precomputed_tower if isinstance(objective, PrecomputesEmbeddings) else None


@settings_class()
class TwoTowersSettings(ObjectiveSettings):
    """An image tower and a text tower, which a pretrained checkpoint can fill.

    Attributes:
      image_tower: the Vision Transformer.
      text_tower: the text transformer.
    """

    image_tower: ImageTowerSettings = ImageTowerSettings()
    text_tower: TextTowerSettings = TextTowerSettings()

    @property
    def image_input(self) -> ImageInput:
        return self.image_tower

    @property
    def text_input(self) -> TextInput:
        return self.text_tower


@settings_class("Siglip")
class SiglipSettings(TwoTowersSettings):
    """Two towers and a pairwise sigmoid loss (arXiv 2303.15343).

    Attributes:
      logit_scale: exp(t') at the start; the paper's value is 10.
      logit_bias: b at the start; the paper's value is -10.
    """

    logit_scale: float = 10.0
    logit_bias: float = -10.0

    def __post_init__(self) -> None:
        require_positive(self, "logit_scale")


@settings_class("Siglit")
class SiglitSettings(SiglipSettings):
    """SigLIP with a locked image tower: only the text tower learns (SigLiT in arXiv 2303.15343; arXiv 2111.07991).

    Training.pretrained says where the image tower comes from.

    Attributes:
      precomputed: whether all training pictures are embedded once, before training, which then never runs the image
        tower. The embeddings are of whole pictures, so that Training.augmentation must be off.
    """

    precomputed: bool = False

    @property
    def locked(self) -> tuple[str, ...]:
        return ("image_tower",)

    @property
    def precomputed_tower(self) -> ImageTowerSettings | None:
        return self.image_tower if self.precomputed else None


@settings_class("Softmax")
class SoftmaxSettings(TwoTowersSettings):
    """Two towers and CLIP's softmax loss, the baseline of the SigLIP paper (section 3.1).

    Attributes:
      logit_scale: exp(t') at the start; SigLIP starts its softmax runs at 10, CLIP at 1 / 0.07.
    """

    logit_scale: float = 10.0

    def __post_init__(self) -> None:
        require_positive(self, "logit_scale")
