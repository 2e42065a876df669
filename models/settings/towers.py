"""Sizes of the two towers."""

from models.settings.checks import (
    label,
    require,
    require_at_least_zero,
    require_one_of,
    require_positive,
    settings_class,
)

ACTIVATIONS = ("gelu_tanh", "gelu", "quick_gelu")
IMAGE_POOLINGS = ("map", "gap", "cls")
RESIZES = ("squash", "crop", "letterbox")
INTERPOLATIONS = ("bilinear", "bicubic")
TEXT_POOLINGS = ("last", "eos")


@settings_class()
class TransformerSettings:
    """The encoder of a tower.

    Attributes:
      width: channels of a token.
      depth: encoder blocks.
      heads: attention heads; must divide `width`.
      mlp_dim: hidden channels of the MLP.
      activation: of the MLP: "gelu_tanh" is SigLIP's (the tanh approximation), "gelu" the exact one, "quick_gelu"
        x * sigmoid(1.702 x), CLIP's.
    """

    width: int = 768
    depth: int = 12
    heads: int = 12
    mlp_dim: int = 3072
    activation: str = "gelu_tanh"

    def __post_init__(self) -> None:
        require_positive(self, "width", "depth", "heads", "mlp_dim")
        require_one_of(self, "activation", ACTIVATIONS)
        require(
            self.width % self.heads == 0,
            label(self, "width"),
            self.width,
            f"a multiple of {label(self, 'heads')} ({self.heads})",
            "change either",
        )


@settings_class("ImageTower", may_be_unused=True)
class ImageTowerSettings(TransformerSettings):
    """A Vision Transformer; its width is the embedding's dimension D.

    Attributes:
      size: side of the square input, pixels.
      resize: how a picture becomes a square: "squash" ignores its aspect (SigLIP), "crop" takes the middle of the
        longer side, "letterbox" adds white to the shorter one.
      interpolation: "bilinear", as big_vision and SigLIP 2, or "bicubic", as Hugging Face's processor of SigLIP 1;
        antialiased always.
      patch: side of a patch, pixels; must divide `size`, but for `cut_to_patches`.
      pooling: how tokens become one: "map" is SigLIP's attention by a learned probe, "gap" their mean, "cls" a class
        token before the patches, as in ViT and CLIP.
      cut_to_patches: lets `size` be no multiple of `patch`: the last pixels of each row and column, less than a patch,
        are not seen, as in So400m/14 at 384 px.
    """

    size: int = 224
    patch: int = 16
    resize: str = "squash"
    interpolation: str = "bilinear"
    pooling: str = "map"
    cut_to_patches: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "size", "patch")
        require_one_of(self, "pooling", IMAGE_POOLINGS)
        require_one_of(self, "resize", RESIZES)
        require_one_of(self, "interpolation", INTERPOLATIONS)
        require(
            self.size % self.patch == 0 or (self.cut_to_patches and self.size > self.patch),
            "ImageTower.size",
            self.size,
            f"a multiple of ImageTower.patch ({self.patch})",
            f"try {self.size // self.patch * self.patch or self.patch}",
        )

    @property
    def patches(self) -> int:
        """Tokens of one image."""
        return (self.size // self.patch) ** 2


@settings_class("TextTower", may_be_unused=True)
class TextTowerSettings(TransformerSettings):
    """A text transformer; its head projects to the image tower's width. The defaults are SigLIP's.

    Attributes:
      length: tokens of every text, end of sentence and padding included.
      causal: tokens attend to earlier ones only, as in CLIP.
      pooling: "last" takes the last position, padding or not (SigLIP), "eos" the first end of sentence (CLIP).
      bottleneck: K, for a large multilingual vocabulary: N x K embeddings and a K x width projection (mSigLIP's
        section, K = 96); 0 embeds in the full width.
      strip_punctuation: served texts lose ASCII punctuation, as in SigLIP's zero-shot evaluation and Hugging Face's
        tokenizer; texts that are trained on keep theirs.
      pad_id: what a text is filled up with: 1 in SigLIP, 0 in SigLIP 2.
      eos_id: the vocabulary's end of sentence, where pooling is "eos"; 0 in a VocabularyTrainer's.
    """

    length: int = 64
    causal: bool = False
    pooling: str = "last"
    bottleneck: int = 0
    strip_punctuation: bool = False
    pad_id: int = 1
    eos_id: int = 0

    @property
    def expected_eos_id(self) -> int | None:
        """Of the vocabulary: `eos_id` where the tower looks for it."""
        return self.eos_id if self.pooling == "eos" else None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "length")
        require_one_of(self, "pooling", TEXT_POOLINGS)
        require_at_least_zero(self, "bottleneck", "pad_id", "eos_id", fix="correct it")
