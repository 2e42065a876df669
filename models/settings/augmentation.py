"""Settings of the random changes that training makes to pictures."""

from models.settings.checks import (
    require,
    require_at_least_zero,
    require_fraction,
    require_positive,
    settings_class,
)

COLOUR_PROBABILITIES = ("jitter_probability", "grey_probability", "blur_probability", "solarise_probability")


@settings_class("Augmentation")
class AugmentationSettings:
    """Random changes of pictures in training. All are off by default. gin/augmentation/ has those of CLIP-rocket.

    Training draws the changes again at each visit of a row. RandAugment comes first; then crop, jitter, grey, blur,
    solarise and flip, in this order. Square crops are the one augmentation that keeps "left", colours and skin tones in
    captions true. SigLIP's public COCO recipe is flip and RandAugment(2, 10).

    Attributes:
      min_crop: smallest side of a square crop, as a share of the picture's side. 1 cuts nothing off; lower it if the
        model overfits.
      max_crop: largest side of a square crop, as a share of the picture's side. Above 1, white padding shrinks the
        picture; 1 adds none.
      min_area: smallest area of a RandomResizedCrop, as a share of the picture's area; the largest is 1. 1 switches
        RandomResizedCrop off. Set either this or min_crop and max_crop.
      max_aspect: largest ratio of the longer side of a RandomResizedCrop to its shorter side. 1 crops squares.
      source_size: side (pixels) to which a picture is resized before a crop is cut out of it. 0 takes the size of the
        tower. A larger side keeps detail in small crops; it costs memory and the time to decode.
      jitter: strengths of brightness, contrast, saturation and hue. The first three are factors in [1 - x, 1 + x]; hue
        turns by up to x of the circle.
      jitter_probability: probability that a picture is jittered, with all four. 0 switches it off.
      grey_probability: probability that a picture loses its colours. 0 switches it off.
      blur_probability: probability that a picture is blurred. 0 switches it off.
      blur_sigma: smallest and largest standard deviation of the Gaussian blur, in pixels of a picture of 224 px. It is
        scaled to the size of the tower.
      solarise_probability: probability that the light half of the values, 128 to 255, is inverted. 0 switches it off.
      flip: mirrors each visited picture with probability 1/2. Leave it off if captions say "left" or "right", or if
        pictures show text.
      rand_augment_layers: number of RandAugment operations on each picture (arXiv 1909.13719). 0 switches RandAugment
        off.
      rand_augment_magnitude: strength of these operations, from 0 to 10.
    """

    min_crop: float = 1.0
    max_crop: float = 1.0
    min_area: float = 1.0
    max_aspect: float = 4 / 3
    source_size: int = 0
    jitter: tuple[float, ...] = (0.4, 0.4, 0.4, 0.1)
    jitter_probability: float = 0.0
    grey_probability: float = 0.0
    blur_probability: float = 0.0
    blur_sigma: tuple[float, ...] = (0.1, 2.0)
    solarise_probability: float = 0.0
    flip: bool = False
    rand_augment_layers: int = 0
    rand_augment_magnitude: float = 10.0

    def __post_init__(self) -> None:
        require_fraction(self, "min_crop", "min_area", *COLOUR_PROBABILITIES)
        require_positive(self, "min_crop", "min_area")
        require(1 <= self.max_crop <= 4, "Augmentation.max_crop", self.max_crop, "in [1, 4]", "use 1 for no padding")
        require(self.max_aspect >= 1, "Augmentation.max_aspect", self.max_aspect, "1 or more", "use 1 for squares")
        require(
            self.min_area == 1 or (self.min_crop, self.max_crop) == (1.0, 1.0),
            "Augmentation.min_area",
            self.min_area,
            "1 if Augmentation.min_crop or max_crop is not 1",
            "use either square crops or RandomResizedCrop",
        )
        require_at_least_zero(self, "source_size", fix="0 takes the size of the tower")
        require(
            len(self.jitter) == 4 and all(0 <= x <= 1 for x in self.jitter[:3]) and 0 <= self.jitter[-1] <= 0.5,
            "Augmentation.jitter",
            self.jitter,
            "strengths of brightness, contrast and saturation in [0, 1], and of hue in [0, 0.5]",
            "use such as (0.4, 0.4, 0.4, 0.1)",
        )
        require(
            len(self.blur_sigma) == 2 and 0 < self.blur_sigma[0] <= self.blur_sigma[1],
            "Augmentation.blur_sigma",
            self.blur_sigma,
            "a smallest and a largest sigma, above 0",
            "use such as (0.1, 2.0)",
        )
        for name, value, largest in (
            ("rand_augment_layers", self.rand_augment_layers, 16),
            ("rand_augment_magnitude", self.rand_augment_magnitude, 10),
        ):
            require(0 <= value <= largest, f"Augmentation.{name}", value, f"in [0, {largest}]", "correct it")

    def require_fits(self, size: int) -> None:
        """Raises ValueError if pictures would be resized to less than the tower's `size`."""
        require(
            not 0 < self.source_size < size,
            "Augmentation.source_size",
            self.source_size,
            f"0, or at least the size of the image tower ({size})",
            f"set it to {size} or more",
        )
