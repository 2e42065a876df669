"""Settings of the non-contrastive terms that ClipRocket can add (CLIP-rocket, arXiv 2305.08675).

The sizes are the paper's. gin/objective/ has one file for each term.
"""

from models.settings.checks import (
    label,
    require,
    require_at_least_zero,
    require_fraction,
    require_positive,
    settings_class,
)


@settings_class()
class TermSettings:
    """What all terms share.

    Attributes:
      weight: factor of the term in the loss.
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self, "weight")


@settings_class("Barlip")
class BarlipSettings(TermSettings):
    """Redundancy reduction between picture and text (BarLIP; Barlow Twins, arXiv 2103.03230).

    Attributes:
      redundancy: weight of each entry off the diagonal of the cross-correlation.
      projector: output channels of the projector's dense layers. The cross-correlation is a square of the last.
    """

    weight: float = 0.025
    redundancy: float = 5e-3
    projector: tuple[int, ...] = (3000, 3000, 8192)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least_zero(self, "redundancy")
        _require_sizes(self, "projector")


@settings_class("Siamlip")
class SiamlipSettings(TermSettings):
    """Prediction of the other modality's projection (SiamLIP; SimSiam, arXiv 2011.10566).

    Attributes:
      projector: output channels of the projector's dense layers.
      predictor: output channels of the predictor's dense layers; the last is that of the projector.
    """

    projector: tuple[int, ...] = (2048, 128)
    predictor: tuple[int, ...] = (2048, 128)

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_sizes(self, "projector", "predictor")
        require(
            self.predictor[-1] == self.projector[-1],
            label(self, "predictor"),
            self.predictor,
            f"a tuple that ends in {self.projector[-1]}, as {label(self, 'projector')}",
            "change either, because predictions are compared with projections",
        )


@settings_class("Byolip")
class ByolipSettings(SiamlipSettings):
    """SiamLIP with targets of a momentum copy of towers and projectors (BYOLIP; BYOL, arXiv 2006.07733).

    Attributes:
      momentum: share of the copy that stays in each step.
    """

    momentum: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        require_fraction(self, "momentum")


@settings_class("Swalip")
class SwalipSettings(TermSettings):
    """Balanced assignments as targets (SwALIP; SwAV, arXiv 2006.09882).

    Without prototypes, pictures are assigned to texts and texts to pictures, of the two local views of each; so
    ClipRocket.local_views must be 2 and ClipRocket.label_smoothing 0. With prototypes, which is the paper's first
    version, both modalities of the global pair are assigned to prototypes, and ClipRocket.local_views must be 0.

    Attributes:
      temperature: divides the similarities before Sinkhorn's algorithm.
      rounds: rounds of Sinkhorn's algorithm.
      prototypes: number of prototypes. 0 uses none.
      projector: output channels of the projector's dense layers. Only prototypes use it.
      prototype_temperature: divides the similarities to prototypes before the softmax of the prediction.
      frozen_steps: number of first steps, in which prototypes do not change.
    """

    weight: float = 0.2
    temperature: float = 0.05
    rounds: int = 3
    prototypes: int = 0
    projector: tuple[int, ...] = (2048, 128)
    prototype_temperature: float = 0.1
    frozen_steps: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "temperature", "rounds", "prototype_temperature")
        require_at_least_zero(self, "prototypes", "frozen_steps", fix="correct it")
        _require_sizes(self, "projector")


def _require_sizes(settings: TermSettings, *names: str) -> None:
    for name in names:
        sizes = getattr(settings, name)
        positive = bool(sizes) and all(size > 0 for size in sizes)
        require(positive, label(settings, name), sizes, "a tuple of numbers above 0", "name one for each dense layer")
