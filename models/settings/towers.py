"""Settings of the two towers: their sizes, and how they prepare their input."""

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
PUNCTUATIONS = ("keep", "remove", "canonicalize")
TEXT_POOLINGS = ("last", "eos")


@settings_class()
class TransformerSettings:
    """Settings of the encoder of a tower. gin/model/ has the sizes of the published models.

    Attributes:
      width: channels of a token.
      depth: number of encoder blocks.
      heads: number of attention heads; it must divide `width`.
      mlp_dim: hidden channels of the MLP; four times `width` is usual.
      activation: activation of the MLP. "gelu_tanh" is SigLIP's (the tanh approximation), "gelu" is exact, and
        "quick_gelu" is CLIP's x * sigmoid(1.702 x). Change it only for a checkpoint that needs another.
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
    """The image tower, a Vision Transformer. Its width is the dimension D of all embeddings.

    Attributes:
      size: side of the square input (pixels). Larger shows more detail, and costs time with its square.
      patch: side of a patch (pixels). It must divide `size`, unless `cut_to_patches` is on.
      resize: how to make a picture square. "squash" ignores the aspect (SigLIP), "crop" takes the middle of the longer
        side, "letterbox" adds white beside the shorter side.
      interpolation: interpolation of the resize. big_vision and SigLIP 2 use "bilinear", Hugging Face's processor of
        SigLIP 1 uses "bicubic".
      antialias: averages all pixels that fall into a smaller one, as Pillow and Hugging Face do. False samples two or
        four pixels a side, as big_vision's public code does. Set it as the weights were trained.
      pooling: how to make one embedding from all tokens. "map" is SigLIP's attention with a learned probe, "gap" is the
        mean, "cls" takes a class token before the patches, as ViT and CLIP do.
      cut_to_patches: allows a `size` that is no multiple of `patch`. The tower then ignores the last pixels of each row
        and column, less than a patch, as So400m/14 does at 384 px.
    """

    size: int = 224
    patch: int = 16
    resize: str = "squash"
    interpolation: str = "bilinear"
    antialias: bool = True
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
        """Number of patch tokens of one image."""
        return (self.size // self.patch) ** 2


_FORMERLY = {
    "TextTower.strip_punctuation = True": "TextTower.punctuation = 'remove'",
    "TextTower.strip_punctuation = False": "TextTower.punctuation = 'keep'",
}


@settings_class("TextTower", formerly=_FORMERLY, may_be_unused=True)
class TextTowerSettings(TransformerSettings):
    """The text tower. Its head projects to the image tower's width. The defaults are SigLIP's.

    Attributes:
      length: tokens of every text, end of sentence and padding included. Longer texts are cut; shorter ones are padded.
      causal: lets a token attend only to itself and earlier tokens, as CLIP does. False lets it attend to all.
      pooling: token that gives the embedding. "last" takes the last position, even if it is padding (SigLIP); "eos"
        takes the first end of sentence (CLIP).
      bottleneck: K of mSigLIP, for a large multilingual vocabulary of N pieces: N x K embeddings and a K x width
        projection (mSigLIP uses K = 96). 0 uses N x width embeddings.
      punctuation: what serving does with ASCII punctuation; training texts keep it. "keep" leaves it, as SigLIP 2's
        tokenizer does. "remove" makes "goldenretriever" of "golden_retriever", as Hugging Face's SiglipTokenizer does.
        "canonicalize" makes "golden retriever" of it, as big_vision's evaluators and open_clip do: each underscore
        becomes a blank, and then punctuation is removed. docs/checkpoints.md names the code.
      dropout: probability that a value of the token stream becomes 0 at the start of a block, in [0, 1). It acts in
        training, and only on text views that ask for it (TextAugmentation.dropout). 0 switches it off.
      pad_id: token id that pads a text: 1 in SigLIP, 0 in SigLIP 2.
      eos_id: token id of the vocabulary's end of sentence; only pooling "eos" uses it. VocabularyTrainer's vocabularies
        have 0.
    """

    length: int = 64
    causal: bool = False
    pooling: str = "last"
    bottleneck: int = 0
    punctuation: str = "keep"
    dropout: float = 0.0
    pad_id: int = 1
    eos_id: int = 0

    @property
    def expected_eos_id(self) -> int | None:
        """`eos_id` if the tower pools at it, and so the vocabulary must have it; otherwise None."""
        return self.eos_id if self.pooling == "eos" else None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "length")
        require_one_of(self, "pooling", TEXT_POOLINGS)
        require_one_of(self, "punctuation", PUNCTUATIONS)
        require_at_least_zero(self, "bottleneck", "pad_id", "eos_id", fix="correct it")
        require(0 <= self.dropout < 1, "TextTower.dropout", self.dropout, "in [0, 1)", "use 0 for none")
