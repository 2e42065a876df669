"""Settings of the visual codes that masked pictures are to be told from."""

from typing import Protocol, runtime_checkable

from models.settings.checks import require, require_positive, settings_class
from models.settings.objectives import ObjectiveSettings
from models.settings.preparation import ImageInput
from models.settings.towers import ImageTowerSettings


@settings_class("VisualCodebook")
class VisualCodebookSettings:
    """The codebook of visual codes: k-means over patches of the train split, or a file.

    Attributes:
      path: codebook to use, an .npz of the layout in models/layers/visual_codes.py, such as one made of a published
        tokenizer. "" makes one.
      sha256: hash of that file (hex). Leave it "": the runner fills it in, so a changed file starts another run.
      codes: number of codes, K. A codebook may have fewer, if there are fewer distinct patches. The paper's has 8,192.
      pictures: largest number of pictures to take patches from, chosen by their keys and the seed.
      patches: largest number of patches, spread over these pictures. Each takes 24 * patch^2 bytes of memory; 200,000
        patches of 16 pixels take 1.2 GB. Pictures stay encoded until they are used.
      seed: seed of the choice of patches, and of k-means.
    """

    path: str = ""
    sha256: str = ""
    codes: int = 8192
    pictures: int = 10_000
    patches: int = 200_000
    seed: int = 0

    def __post_init__(self) -> None:
        require_positive(self, "pictures", "patches")
        require(self.codes >= 2, "VisualCodebook.codes", self.codes, "2 or more", "one code tells nothing; raise it")
        require(0 <= self.seed < 2**31, "VisualCodebook.seed", self.seed, "in [0, 2^31)", "use a small whole number")
        require(
            not self.path.endswith((".pkl", ".pickle", ".pt", ".pth")),
            "VisualCodebook.path",
            self.path,
            "an .npz, because a pickle may run any code and is never loaded",
            "save arrays of numbers as models/layers/visual_codes.py describes",
        )


@settings_class("VisualCodes")
class VisualCodesSettings:
    """Settings of VisualCodebook. The pipeline fills them in; a codebook depends on nothing else but the pictures.

    Attributes:
      codebook: how to make or find it.
      image_tower: size, patch and resize of the pictures; only these are read.
    """

    codebook: VisualCodebookSettings
    image_tower: ImageTowerSettings

    @property
    def image_input(self) -> ImageInput:
        """How pictures are prepared."""
        return self.image_tower


@runtime_checkable
class UsesVisualCodes(Protocol):
    """Settings of an objective that can learn to tell the visual codes of masked patches."""

    @property
    def visual_codes(self) -> VisualCodesSettings | None:
        """The codebook that it needs; None if it needs none."""


def visual_codes(objective: ObjectiveSettings) -> VisualCodesSettings | None:
    """The codebook that training needs; None if it needs none."""
    return objective.visual_codes if isinstance(objective, UsesVisualCodes) else None
