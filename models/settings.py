"""What gin can tune about learning: frozen dataclasses, checked as they are made."""

import dataclasses

from models.checks import require, require_fraction, require_positive, require_types
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


@configurable("Siglip")
@dataclasses.dataclass(frozen=True)
class SiglipSettings:
    """Two towers and a pairwise sigmoid loss (arXiv 2303.15343).

    Attributes:
      logit_scale: exp(t') at the start; the paper's value is 10.
      logit_bias: b at the start; the paper's value is -10.
    """

    image_tower: ImageTowerSettings = ImageTowerSettings()
    text_tower: TextTowerSettings = TextTowerSettings()
    logit_scale: float = 10.0
    logit_bias: float = -10.0

    def __post_init__(self) -> None:
        require_types(self)
        require_positive(self, "logit_scale")


@configurable("Augmentation")
@dataclasses.dataclass(frozen=True)
class AugmentationSettings:
    """Random square crops, the one augmentation that leaves "left", colours and skin tones of a caption true.

    Attributes:
      min_crop: smallest side of the crop, as a share of the picture's; 1 switches cropping off.
      max_crop: largest side; above 1 the picture is padded with white, which shrinks it.
    """

    min_crop: float = 1.0
    max_crop: float = 1.0

    def __post_init__(self) -> None:
        require_types(self)
        require_fraction(self, "min_crop")
        require(self.min_crop > 0, "Augmentation.min_crop", self.min_crop, "above 0", "use 1 to switch cropping off")
        require(1 <= self.max_crop <= 4, "Augmentation.max_crop", self.max_crop, "in [1, 4]", "use 1 for no padding")


@configurable("AdamW")
@dataclasses.dataclass(frozen=True)
class AdamWSettings:
    """AdamW with a linear warm-up and a cosine decay to zero.

    Attributes:
      learning_rate: its peak.
      warmup_steps: steps of the linear rise from 0.
      weight_decay: decoupled from the gradient, multiplied by the learning rate; kernels only.
      beta_1, beta_2: decay of the two moments; .95 for beta_2 is what keeps large batches stable (section 4.6).
      clip_norm: largest global norm of the gradient.
    """

    learning_rate: float = 1e-3
    warmup_steps: int = 100
    weight_decay: float = 0.1
    beta_1: float = 0.9
    beta_2: float = 0.95
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        require_types(self)
        require_positive(self, "learning_rate", "clip_norm")
        require_fraction(self, "beta_1", "beta_2")
        for name in ("warmup_steps", "weight_decay"):
            value = getattr(self, name)
            require(value >= 0, f"AdamW.{name}", value, "0 or more", "use 0 to switch it off")


@configurable("Training")
@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """One training run.

    Attributes:
      objective: settings of the objective to train, such as @Siglip().
      optimizer: settings of the optimiser, such as @AdamW().
      augmentation: what happens to a picture at each visit.
      steps: optimiser steps; 0 exports the untrained model.
      batch_size: pairs in a step (the global batch).
      shuffle_buffer: decoded pairs held to draw batches from; the whole set is best where it fits.
      cache: keep every decoded picture in memory (size x size x 3 bytes each), so that later passes decode nothing.
      jit_compile: compile the step with XLA; without it, two runs of one seed may end in slightly different weights.
      seed: of the weights, the order of the data and the augmentation.
      log_every: steps between two lines of the log.
    """

    objective: SiglipSettings = SiglipSettings()
    optimizer: AdamWSettings = AdamWSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    steps: int = 1000
    batch_size: int = 256
    shuffle_buffer: int = 4096
    cache: bool = False
    jit_compile: bool = True
    seed: int = 0
    log_every: int = 20

    def __post_init__(self) -> None:
        require_types(self)
        require_positive(self, "batch_size", "shuffle_buffer", "log_every")
        require(self.steps >= 0, "Training.steps", self.steps, "0 or more", "0 exports the untrained model")
        require(self.batch_size >= 2, "Training.batch_size", self.batch_size, "2 or more", "a pair needs a negative")
