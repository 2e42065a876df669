"""Settings of the objectives. An objective is the model to train, with its loss."""

import abc
from typing import Protocol, runtime_checkable

from models.settings.augmentation import AugmentationSettings
from models.settings.checks import require, require_one_of, require_positive, settings_class
from models.settings.preparation import ImageInput, TextInput
from models.settings.text_augmentation import TextAugmentationSettings
from models.settings.towers import ImageTowerSettings, TextTowerSettings


@settings_class()
class ObjectiveSettings(abc.ABC):
    """Base class of the settings of an objective. The rest of the system uses these properties only."""

    @property
    @abc.abstractmethod
    def image_input(self) -> ImageInput:
        """How training and serving prepare pictures."""

    @property
    @abc.abstractmethod
    def text_input(self) -> TextInput:
        """How training and serving prepare texts."""

    @property
    def locked(self) -> tuple[str, ...]:
        """Names of the towers that training never changes; Training.pretrained must give their weights."""
        return ()

    @property
    def image_views(self) -> dict[str, AugmentationSettings | None]:
        """{kind of image views: their augmentation}; None takes Training.augmentation."""
        return {"training": None}

    @property
    def text_views(self) -> dict[str, TextAugmentationSettings | None]:
        """{kind of text views: their augmentation}; None changes nothing."""
        return {"training": None}

    @property
    def finishes(self) -> bool:
        """Whether the weights depend on held-out rows, at which training looks after its last step."""
        return False

    def require_batch(self, batch_size: int) -> None:
        """Raises ValueError if the objective cannot train on batches of this size."""
        require(batch_size >= 2, "Training.batch_size", batch_size, "2 or more", "a pair needs a negative")


@runtime_checkable
class PrecomputesEmbeddings(Protocol):
    """Settings of an objective that can train on image embeddings that are computed before training."""

    @property
    def precomputed_tower(self) -> ImageTowerSettings | None:
        """The locked tower that computes them; None if training reads pictures."""


def precomputed_tower(objective: ObjectiveSettings) -> ImageTowerSettings | None:
    """The image tower whose embeddings training reads in place of pictures; None if training reads pictures."""
    return objective.precomputed_tower if isinstance(objective, PrecomputesEmbeddings) else None


@settings_class()
class TwoTowersSettings(ObjectiveSettings):
    """An image tower and a text tower. A pretrained checkpoint can give the weights of either.

    Attributes:
      image_tower: sizes of the Vision Transformer.
      text_tower: sizes of the text transformer.
    """

    image_tower: ImageTowerSettings = ImageTowerSettings()
    text_tower: TextTowerSettings = TextTowerSettings()

    @property
    def image_input(self) -> ImageInput:
        return self.image_tower

    @property
    def text_input(self) -> TextInput:
        return self.text_tower

    @property
    def drops_out(self) -> bool:
        """Whether TextTower.dropout acts on a view of texts."""
        return self.text_tower.dropout > 0 and any(own and own.dropout for own in self.text_views.values())


@settings_class("Negatives")
class NegativesSettings:
    """Which negative pairs of the whole batch the sigmoid loss keeps, as in SigLIP's study of negatives.

    Attributes:
      kind: "random" keeps each with the same probability, "hard" keeps those with the largest logits, "easy" those with
        the smallest.
      per_positive: number of kept negatives a positive pair, r. It need not be whole, since the choice is over the
        batch: "hard" and "easy" keep round(r |B|) pairs, "random" as many on average. At most Training.batch_size - 1,
        which keeps all.
    """

    kind: str = "random"
    per_positive: float = 16.0

    def __post_init__(self) -> None:
        require_one_of(self, "kind", ("random", "hard", "easy"))
        require_positive(self, "per_positive")

    def require_batch(self, batch_size: int) -> None:
        """Raises ValueError if a batch has too few negatives, or more pairs than int32 counts."""
        require(
            self.per_positive <= batch_size - 1,
            "Negatives.per_positive",
            self.per_positive,
            f"at most Training.batch_size - 1 ({batch_size - 1}), the negatives of one picture",
            "lower it or raise Training.batch_size",
        )
        require(
            batch_size**2 < 2**31,
            "Training.batch_size",
            batch_size,
            "at most 46,340 with Negatives, which count the pairs in int32",
            "lower it or set Siglip.negatives = None",
        )


@settings_class("Siglip")
class SiglipSettings(TwoTowersSettings):
    """Two towers and a pairwise sigmoid loss (arXiv 2303.15343).

    Attributes:
      logit_scale: exp(t') before the first step. Keep the paper's 10; training learns it.
      logit_bias: b before the first step. Keep the paper's -10, which makes up for the many negative pairs; training
        learns it.
      negatives: the part of the negative pairs to keep, @Negatives(), for studies. None keeps all, in less memory.
    """

    logit_scale: float = 10.0
    logit_bias: float = -10.0
    negatives: NegativesSettings | None = None

    def __post_init__(self) -> None:
        require_positive(self, "logit_scale")

    def require_batch(self, batch_size: int) -> None:
        super().require_batch(batch_size)
        if self.negatives:
            self.negatives.require_batch(batch_size)


@settings_class("Siglit")
class SiglitSettings(SiglipSettings):
    """SigLIP with a locked image tower: only the text tower learns (SigLiT in arXiv 2303.15343; arXiv 2111.07991).

    Training.pretrained must name a checkpoint with the image tower.

    Attributes:
      precomputed: computes the embeddings of all training pictures once, before training, so that no step runs the
        image tower. This needs Training.augmentation off, because the embeddings are of whole pictures. False runs the
        tower in every step.
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
      logit_scale: exp(t') before the first step. SigLIP's softmax runs use 10, CLIP uses 1 / 0.07; training learns it.
    """

    logit_scale: float = 10.0

    def __post_init__(self) -> None:
        require_positive(self, "logit_scale")
