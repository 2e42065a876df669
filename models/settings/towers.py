"""Sizes of the two towers."""

import dataclasses

from models.checks import require, require_positive, require_types
from models.configuration import configurable


@configurable("ImageTower")
@dataclasses.dataclass(frozen=True)
class ImageTowerSettings:
    """A Vision Transformer with a MAP head.

    Attributes:
      size: side of the square input, pixels.
      patch: side of a patch, pixels; must divide `size`.
      width: channels of a token, and the embedding's dimension D.
      depth: encoder blocks.
      heads: attention heads; must divide `width`.
      mlp_dim: hidden channels of the MLP.
    """

    size: int = 224
    patch: int = 16
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_dim: int = 3072

    def __post_init__(self) -> None:
        require_types(self)
        require_positive(self, "size", "patch", "width", "depth", "heads", "mlp_dim")
        require(
            self.size % self.patch == 0,
            "ImageTower.size",
            self.size,
            f"a multiple of ImageTower.patch ({self.patch})",
            f"try {self.size // self.patch * self.patch or self.patch}",
        )
        require(
            self.width % self.heads == 0,
            "ImageTower.width",
            self.width,
            f"a multiple of ImageTower.heads ({self.heads})",
            "change either",
        )

    @property
    def patches(self) -> int:
        """Tokens of one image."""
        return (self.size // self.patch) ** 2


@configurable("TextTower")
@dataclasses.dataclass(frozen=True)
class TextTowerSettings:
    """A non-causal text transformer pooled at its last token.

    Attributes:
      length: tokens of every text, end of sentence and padding included.
      width, depth, heads, mlp_dim: as in the image tower; the head projects to the image tower's width.
    """

    length: int = 64
    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_dim: int = 3072

    def __post_init__(self) -> None:
        require_types(self)
        require_positive(self, "length", "width", "depth", "heads", "mlp_dim")
        require(
            self.width % self.heads == 0,
            "TextTower.width",
            self.width,
            f"a multiple of TextTower.heads ({self.heads})",
            "change either",
        )
