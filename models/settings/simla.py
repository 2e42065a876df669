"""Settings of the objective Simla (arXiv 2203.14395)."""

from models.settings.checks import (
    label,
    require,
    require_at_least_zero,
    require_fraction,
    require_one_of,
    require_positive,
    settings_class,
)
from models.settings.objectives import TwoTowersSettings
from models.settings.towers import ImageTowerSettings
from models.settings.visual_codebook import VisualCodebookSettings, VisualCodesSettings

NEGATIVES = ("global", "replica")
LEAST_TEMPERATURE, LARGEST_TEMPERATURE = 0.001, 0.5
_MASKED, _SMALLEST, _OF = 75, 16, 256  # the paper's masked patches and smallest block, of its 256 patches


@settings_class("Simla")
class SimlaSettings(TwoTowersSettings):
    """Single-stream multi-level alignment: one fusion encodes texts alone, and pictures and words together.

    `text_tower` has the sizes of the fusion, and `image_tower` must have the pooling "cls" and the fusion's width. Each
    of the five terms has a weight, 1 in the paper; 0 leaves out the term and its passes.

    Attributes:
      itc: weight of the contrast of picture and text, with soft targets of the momentum copy.
      itm: weight of telling matching pairs from drawn others.
      mlm: weight of the masked words, told with the picture.
      mim: weight of the visual codes of masked patches, told with the words.
      psl: weight of the keywords, which the momentum copy chooses from the caption.
      projection_dim: channels of an embedding.
      temperature: divides similarities before the first step. Training learns it, and keeps it in [.001, .5].
      momentum: share of the momentum copy that stays in each step.
      queue_size: keys of former batches that each queue holds, a multiple of Training.batch_size.
      alpha: share of the momentum copy's predictions in the targets, at the end of its ramp from 0.
      alpha_steps: steps of that ramp; the paper takes one epoch. 0 has no ramp.
      negatives: where the pairs that do not match are drawn from: "global", the whole batch, or "replica", the rows of
        the same replica, which sends nothing. "replica" needs less memory with many replicas.
      masked_words: share of the words that are masked.
      masked_patches: number of patches that are masked. 0 takes the paper's share, 75 of 256.
      min_block: patches of the smallest block of masked patches. 0 takes the paper's share, 16 of 256.
      votes: places for which each head of the momentum copy votes.
      keywords: largest number of keywords of a caption, those with the most votes.
      visual_codebook: the codes of patches. Only mim uses them.
    """

    image_tower: ImageTowerSettings = ImageTowerSettings(pooling="cls")
    itc: float = 1.0
    itm: float = 1.0
    mlm: float = 1.0
    mim: float = 1.0
    psl: float = 1.0
    projection_dim: int = 256
    temperature: float = 0.07
    momentum: float = 0.995
    queue_size: int = 65_536
    alpha: float = 0.4
    alpha_steps: int = 5000
    negatives: str = "global"
    masked_words: float = 0.15
    masked_patches: int = 0
    min_block: int = 0
    votes: int = 4
    keywords: int = 5
    visual_codebook: VisualCodebookSettings = VisualCodebookSettings()

    def __post_init__(self) -> None:
        require_at_least_zero(self, "itc", "itm", "mlm", "mim", "psl")
        weights = (self.itc, self.itm, self.mlm, self.mim, self.psl)
        require(any(weights), "Simla.itc, itm, mlm, mim and psl", weights, "not all 0", "set one of them to 1.0")
        require_positive(self, "projection_dim", "queue_size", "votes", "keywords")
        require_fraction(self, "momentum", "alpha", "masked_words")
        require_at_least_zero(self, "alpha_steps", "masked_patches", "min_block")
        require_one_of(self, "negatives", NEGATIVES)
        require(
            LEAST_TEMPERATURE <= self.temperature <= LARGEST_TEMPERATURE,
            "Simla.temperature",
            self.temperature,
            f"in [{LEAST_TEMPERATURE}, {LARGEST_TEMPERATURE}]",
            "training keeps it there; the paper starts at 0.07",
        )
        self._require_towers()
        most = self.image_tower.patches - 1
        for name in ("masked_patches", "min_block"):
            require(
                getattr(self, name) <= most,
                label(self, name),
                getattr(self, name),
                f"at most {most}: the picture has {most + 1} patches, and one must stay",
                "lower it, or use 0 for the paper's share",
            )
        require(
            self.smallest_block <= self.patches_to_mask,
            "Simla.min_block",
            self.smallest_block,
            f"at most the {self.patches_to_mask} patches that are masked (0 takes the paper's share of the picture)",
            "set it to 1, or raise Simla.masked_patches",
        )

    def _require_towers(self) -> None:
        image, text = self.image_tower, self.text_tower
        fix = "set ImageTower.pooling = 'cls'"
        require(image.pooling == "cls", "ImageTower.pooling", image.pooling, "'cls' with Simla", fix)
        require(
            text.width == image.width,
            "TextTower.width",
            text.width,
            f"ImageTower.width ({image.width}) with Simla, whose fusion attends to the image tower's tokens",
            "change either",
        )
        require(not text.causal, "TextTower.causal", text.causal, "False with Simla", "remove it")
        require(not text.bottleneck, "TextTower.bottleneck", text.bottleneck, "0 with Simla", "remove it")
        require(image.patches >= 4, "ImageTower.size", image.size, "two patches a side or more with Simla", "raise it")

    def require_batch(self, batch_size: int) -> None:
        super().require_batch(batch_size)
        nearest = max(1, round(self.queue_size / batch_size)) * batch_size
        require(
            not self.itc or self.queue_size % batch_size == 0,  # without itc, there is no queue
            "Simla.queue_size",
            self.queue_size,
            f"a multiple of Training.batch_size ({batch_size})",
            f"try {nearest}",
        )

    @property
    def patches_to_mask(self) -> int:
        """Masked patches of a picture, at least 1."""
        return self.masked_patches or max(1, round(_MASKED * self.image_tower.patches / _OF))

    @property
    def smallest_block(self) -> int:
        """Patches of the smallest block of masked patches, at least 1."""
        return self.min_block or max(1, round(_SMALLEST * self.image_tower.patches / _OF))

    @property
    def visual_codes(self) -> VisualCodesSettings | None:
        """The codebook that mim needs."""
        return VisualCodesSettings(self.visual_codebook, self.image_tower) if self.mim else None
