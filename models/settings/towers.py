"""Sizes of the two towers."""

import dataclasses

from models.checks import label, require, require_positive, require_types
from models.configuration import configurable


@dataclasses.dataclass(frozen=True)
class TransformerSettings:
    """The encoder of a tower.

    Attributes:
      width: channels of a token.
      depth: encoder blocks.
      heads: attention heads; must divide `width`.
      mlp_dim: hidden channels of the MLP.
    """

    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_dim: int = 3072

    def __post_init__(self) -> None:
        require_types(self)
        require_positive(self, *(field.name for field in dataclasses.fields(self)))
        require(
            self.width % self.heads == 0,
            label(self, "width"),
            self.width,
            f"a multiple of {label(self, 'heads')} ({self.heads})",
            "change either",
        )


@configurable("ImageTower")
@dataclasses.dataclass(frozen=True)
class ImageTowerSettings(TransformerSettings):
    """A Vision Transformer with a MAP head; its width is the embedding's dimension D.

    Attributes:
      size: side of the square input, pixels.
      patch: side of a patch, pixels; must divide `size`.
    """

    size: int = 224
    patch: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.size % self.patch == 0,
            "ImageTower.size",
            self.size,
            f"a multiple of ImageTower.patch ({self.patch})",
            f"try {self.size // self.patch * self.patch or self.patch}",
        )

    @property
    def patches(self) -> int:
        """Tokens of one image."""
        return (self.size // self.patch) ** 2


@configurable("TextTower")
@dataclasses.dataclass(frozen=True)
class TextTowerSettings(TransformerSettings):
    """A non-causal text transformer pooled at its last token; its head projects to the image tower's width.

    Attributes:
      length: tokens of every text, end of sentence and padding included.
    """

    length: int = 64
