"""Settings of the objective Oner and of its one tower (OneR, arXiv 2211.11153)."""

from models.settings.checks import (
    label,
    require,
    require_at_least_zero,
    require_one_of,
    require_positive,
    settings_class,
)
from models.settings.objectives import ObjectiveSettings, precomputed_tower
from models.settings.preparation import ImageInput, TextInput
from models.settings.towers import INTERPOLATIONS, PUNCTUATIONS, RESIZES, TransformerSettings

CONTRASTIVE = ("itc", "xmc", "cic", "cmc")
MASKED = ("mim", "mlm", "mmm")
CONTRASTS = ("softmax", "sigmoid")


@settings_class("OneTower", may_be_unused=True)
class OneTowerSettings(TransformerSettings):
    """One transformer for patches and words. It also says how pictures and texts are prepared.

    Attributes:
      size: side of the square input (pixels).
      patch: side of a patch (pixels). It must divide `size`.
      resize: how to make a picture square: "squash" ignores the aspect, "crop" takes the middle of the longer side,
        "letterbox" adds white beside the shorter side.
      interpolation: interpolation of the resize, "bilinear" or "bicubic".
      antialias: averages all pixels that fall into a smaller one.
      length: tokens of every text, end of sentence and padding included. No token attends to padding.
      punctuation: what serving does with ASCII punctuation, see TextTower.punctuation.
      pad_id: token id that pads a text.
      projection_dim: D, channels of an embedding.
    """

    size: int = 224
    patch: int = 16
    resize: str = "squash"
    interpolation: str = "bilinear"
    antialias: bool = True
    length: int = 64
    punctuation: str = "keep"
    pad_id: int = 1
    projection_dim: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "size", "patch", "length", "projection_dim")
        require_one_of(self, "resize", RESIZES)
        require_one_of(self, "interpolation", INTERPOLATIONS)
        require_one_of(self, "punctuation", PUNCTUATIONS)
        require_at_least_zero(self, "pad_id", fix="correct it")
        require(
            self.size % self.patch == 0,
            label(self, "size"),
            self.size,
            f"a multiple of {label(self, 'patch')} ({self.patch})",
            f"try {self.size // self.patch * self.patch or self.patch}",
        )

    @property
    def grid(self) -> int:
        """Patches in a row of one image, g."""
        return self.size // self.patch

    @property
    def patches(self) -> int:
        """Number of patch tokens of one image, g x g."""
        return self.grid**2

    @property
    def expected_eos_id(self) -> int | None:
        """None: the class token gives the embedding, so any end of sentence will do."""
        return None


@settings_class("Oner")
class OnerSettings(ObjectiveSettings):
    """One tower for both modalities, with a momentum copy (OneR, arXiv 2211.11153; a reconstruction).

    A term of weight 0 is left out, with its passes through the tower.

    Attributes:
      tower: sizes of the tower.
      itc: weight of the contrast of picture and text.
      xmc: weight of the contrast of picture or text with the mean of both.
      cic: weight of the contrast of picture over text, and text over picture, with the mean of both.
      cmc: weight of the contrast of picture and text in one sequence with the mean of both.
      mim: weight of the prediction of masked patches from the rest of the picture.
      mlm: weight of the prediction of masked words from the rest of the text.
      mmm: weight of both predictions from picture and text in one sequence.
      mix_queries: whether xmc compares the mean of both queries with the mean of both keys.
      contrast: loss of each contrast, "softmax" (the paper's) or "sigmoid", SigLIP's, in the ring.
      temperature: tau; the softmax divides similarities by it.
      logit_scale: exp(t') of the sigmoid before the first step; training learns it.
      logit_bias: b of the sigmoid before the first step; training learns it.
      momentum: m, the share of the momentum copy that stays in the first step. It rises to 1 along half a cosine.
      predictor: whether queries go through a predictor of two layers with batch normalisation, as in MoCo-v3. With it,
        embeddings draw together (docs/objectives.md).
      predictor_hidden: hidden channels of the predictor.
      masked_words: share of words that are masked, above 0 and below 1.
      masked_patches: share of patches that are masked, above 0 and below 1.
    """

    tower: OneTowerSettings = OneTowerSettings()
    itc: float = 1.0
    xmc: float = 0.0
    cic: float = 0.0
    cmc: float = 1.0
    mim: float = 1.0
    mlm: float = 1.0
    mmm: float = 1.0
    mix_queries: bool = False
    contrast: str = "softmax"
    temperature: float = 0.2
    logit_scale: float = 10.0
    logit_bias: float = -10.0
    momentum: float = 0.99
    predictor: bool = False
    predictor_hidden: int = 4096
    masked_words: float = 0.15
    masked_patches: float = 0.5

    def __post_init__(self) -> None:
        terms = (*CONTRASTIVE, *MASKED)
        require_at_least_zero(self, *terms, fix="0 leaves the term out")
        require(
            any(getattr(self, term) for term in terms),
            ", ".join(label(self, term) for term in terms),
            0.0,
            "above 0 in one term at least",
            "set Oner.itc = 1.0",
        )
        require(
            bool(self.xmc) or not self.mix_queries,
            label(self, "mix_queries"),
            self.mix_queries,
            "False without Oner.xmc, whose queries it mixes",
            "set Oner.xmc = 1.0",
        )
        for name, other in (("predictor", False), ("contrast", "softmax")):
            value = getattr(self, name)
            require(
                value == other or any(getattr(self, term) for term in CONTRASTIVE),
                label(self, name),
                value,
                f"{other!r} without a contrast: {', '.join(CONTRASTIVE)} are all 0",
                f"set Oner.{name} = {other!r}, or Oner.itc = 1.0",
            )
        require(
            not self.cic or self.tower.depth >= 2,
            label(self.tower, "depth"),
            self.tower.depth,
            "2 or more with Oner.cic: in one block, a crossed pass gives what the other modality alone gives",
            "raise it, or set Oner.cic = 0.0",
        )
        for term in MASKED:
            require(
                not getattr(self, term) or precomputed_tower(self) is None,
                label(self, term),
                getattr(self, term),
                "0 with embeddings that are computed before training: their rows have no seeds, which decide the masks",
                "set it to 0, or train on pictures",
            )
        require_one_of(self, "contrast", CONTRASTS)
        require_positive(self, "logit_scale", "predictor_hidden")
        require(self.temperature > 0, "Oner.temperature", self.temperature, "a number above 0", "set it to 0.2")
        require(0 <= self.momentum <= 1, "Oner.momentum", self.momentum, "in [0, 1]", "set it to 0.99")
        for name, usual in (("masked_words", 0.15), ("masked_patches", 0.5)):
            value = getattr(self, name)
            require(0 < value < 1, label(self, name), value, "above 0 and below 1", f"set it to {usual}")

    @property
    def image_input(self) -> ImageInput:
        return self.tower

    @property
    def text_input(self) -> TextInput:
        return self.tower
