"""Settings of the random changes that training makes to pictures."""

from models.settings.checks import require, require_fraction, require_positive, settings_class


@settings_class("Augmentation")
class AugmentationSettings:
    """Random crops, mirroring and RandAugment in training. All are off by default.

    Training draws the changes again at each visit of a row. It crops the picture after the resize to the size of the
    tower. Square crops are the one augmentation that keeps "left", colours and skin tones in captions true. SigLIP's
    public COCO recipe is flip and RandAugment(2, 10).

    Attributes:
      min_crop: smallest side of a square crop, as a share of the picture's side. 1 cuts nothing off; lower it if the
        model overfits.
      max_crop: largest side of a square crop, as a share of the picture's side. Above 1, white padding shrinks the
        picture; 1 adds none.
      min_area: smallest area of a RandomResizedCrop, as a share of the picture's area; the largest is 1. 1 switches
        RandomResizedCrop off. Set either this or min_crop and max_crop.
      max_aspect: largest ratio of the longer side of a RandomResizedCrop to its shorter side. 1 crops squares.
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
    flip: bool = False
    rand_augment_layers: int = 0
    rand_augment_magnitude: float = 10.0

    def __post_init__(self) -> None:
        require_fraction(self, "min_crop", "min_area")
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
        for name, value, largest in (
            ("rand_augment_layers", self.rand_augment_layers, 16),
            ("rand_augment_magnitude", self.rand_augment_magnitude, 10),
        ):
            require(0 <= value <= largest, f"Augmentation.{name}", value, f"in [0, {largest}]", "correct it")
