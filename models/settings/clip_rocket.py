"""Settings of the objective ClipRocket (arXiv 2305.08675)."""

from models.settings.augmentation import AugmentationSettings
from models.settings.checks import (
    DECLARED,
    default,
    require,
    require_at_least_zero,
    require_fraction,
    require_one_of,
    require_positive,
    settings_class,
)
from models.settings.objectives import TwoTowersSettings
from models.settings.terms import SwalipSettings, TermSettings
from models.settings.text_augmentation import TextAugmentationSettings

CONTRASTS = ("softmax", "sigmoid")
LARGEST_SCALE = 100.0


@settings_class("ClipRocket")
class ClipRocketSettings(TwoTowersSettings):
    """Improved CLIP: one weakly augmented global pair, n strongly augmented local pairs, and further terms.

    Attributes:
      terms: non-contrastive terms that are added to the loss, such as (@Barlip(),), each class once.
      local_views: n, the number of strongly augmented views of picture and of text. 0 is the basic recipe.
      global_images: augmentation of the global picture, such as @weak/Augmentation(). None takes Training.augmentation.
      local_images: augmentation of the local pictures, such as @strong/Augmentation(). None takes
        Training.augmentation.
      global_texts: augmentation of the global caption, such as @weak/TextAugmentation(). None changes nothing.
      local_texts: augmentation of the local captions, such as @strong/TextAugmentation(). None changes nothing.
      projection_dim: channels of an embedding of either kind of views.
      local_hidden: channels of both hidden layers of the local projectors. 0 makes them one linear layer.
      contrast: loss of each pair of views, "softmax" (the paper's) or "sigmoid", SigLIP's, in the ring.
      label_smoothing: e of the softmax of local pairs: the share of the target that all candidates get alike.
      contrastive_weight: factor of the contrast. The paper uses 1 for CC3M, and 2 for its larger data sets.
      logit_scale: exp(t') of the global pair before the first step. Training learns it, and keeps it in [1, 100].
      local_logit_scale: the same for local pairs.
      logit_bias: b of the sigmoid before the first step, of global and of local pairs.
      ensemble_weight: w, in [0, 1]: similarity = w * global + (1 - w) * local. None chooses it after the last step, on
        the first Logging.held_out_rows rows of the eval split.
    """

    terms: tuple[TermSettings, ...] = ()
    local_views: int = 2
    global_images: AugmentationSettings | None = None
    local_images: AugmentationSettings | None = None
    global_texts: TextAugmentationSettings | None = None
    local_texts: TextAugmentationSettings | None = None
    projection_dim: int = 256
    local_hidden: int = 4096
    contrast: str = "softmax"
    label_smoothing: float = 0.1
    contrastive_weight: float = 1.0
    logit_scale: float = 1 / 0.07
    local_logit_scale: float = 1 / 0.1
    logit_bias: float = -10.0
    ensemble_weight: float | None = None

    def __post_init__(self) -> None:
        require_at_least_zero(self, "local_views", fix="use 0 for the basic recipe")
        require_positive(self, "projection_dim", "contrastive_weight")
        require_at_least_zero(self, "local_hidden", fix="0 makes the local projectors linear")
        require_one_of(self, "contrast", CONTRASTS)
        for name in ("logit_scale", "local_logit_scale"):
            value = getattr(self, name)
            fits = 1 <= value <= LARGEST_SCALE
            fix = f"set it to {default(self, name):.4g}; training keeps it in this range"
            require(fits, f"ClipRocket.{name}", value, f"in [1, {LARGEST_SCALE:g}]", fix)
        smoothing = self.label_smoothing
        require(0 <= smoothing < 1, "ClipRocket.label_smoothing", smoothing, "in [0, 1)", "use 0 for none")
        require(
            self.contrast == "softmax" or not smoothing,
            "ClipRocket.label_smoothing",
            smoothing,
            "0 with ClipRocket.contrast = 'sigmoid', which has no distribution to smooth",
            "set it to 0",
        )
        if self.ensemble_weight is not None:
            require_fraction(self, "ensemble_weight")
        require(
            self.ensemble_weight is None or self.local_views > 0,
            "ClipRocket.ensemble_weight",
            self.ensemble_weight,
            "None with ClipRocket.local_views = 0, which leaves nothing to mix",
            "remove it",
        )
        for own in self.image_views.values():
            if own:
                own.require_fits(self.image_tower.size)
        self._require_terms()

    @property
    def image_views(self) -> dict[str, AugmentationSettings | None]:
        return {"global": self.global_images, **({"local": self.local_images} if self.local_views else {})}

    @property
    def text_views(self) -> dict[str, TextAugmentationSettings | None]:
        return {"global": self.global_texts, **({"local": self.local_texts} if self.local_views else {})}

    @property
    def finishes(self) -> bool:
        return self.local_views > 0 and self.ensemble_weight is None

    def _require_terms(self) -> None:
        names = [DECLARED[type(term)] for term in self.terms]
        twice = sorted({name for name in names if names.count(name) > 1})
        require(not twice, "ClipRocket.terms", tuple(names), "different terms", f"name {', '.join(twice)} once")
        for term in self.terms:
            if not isinstance(term, SwalipSettings):
                continue
            views, kind = (0, "with") if term.prototypes else (2, "without")
            require(
                self.local_views == views,
                "ClipRocket.local_views",
                self.local_views,
                f"{views} for Swalip {kind} prototypes",
                f"set it to {views}, or change Swalip.prototypes",
            )
            require(
                bool(term.prototypes) or not self.label_smoothing,
                "ClipRocket.label_smoothing",
                self.label_smoothing,
                "0 with Swalip, whose targets are soft already",
                "set it to 0",
            )
