"""What happens to a picture at each visit."""

from models.settings.checks import require, require_fraction, require_positive, settings_class


@settings_class("Augmentation")
class AugmentationSettings:
    """Random crops, mirror images and RandAugment; all off by default.

    Square crops are the one augmentation that leaves "left", colours and skin tones of a caption true. Crops are of the
    picture as the tower would see it, already resized. SigLIP's public COCO recipe is flip and RandAugment(2, 10).

    Attributes:
      min_crop: smallest side of a square crop, as a share of the picture's; 1 switches cropping off.
      max_crop: largest side; above 1 the picture is padded with white, which shrinks it.
      min_area: RandomResizedCrop: smallest share of the picture's area, drawn up to 1; 1 switches it off.
      max_aspect: RandomResizedCrop: largest ratio of the crop's longer to its shorter side.
      flip: mirror a picture or not, at even odds; "left" and "right" of captions, and text in pictures, become wrong.
      rand_augment_layers: operations in a row on each picture (arXiv 1909.13719); 0 switches it off.
      rand_augment_magnitude: how strong they are, from 0 to 10.
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
            "1 where min_crop or max_crop is set",
            "use square crops, or RandomResizedCrop, not both",
        )
        for name, value, largest in (
            ("rand_augment_layers", self.rand_augment_layers, 16),
            ("rand_augment_magnitude", self.rand_augment_magnitude, 10),
        ):
            require(0 <= value <= largest, f"Augmentation.{name}", value, f"in [0, {largest}]", "correct it")
