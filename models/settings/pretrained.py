"""Where weights come from, when they are not drawn."""

from models.settings.checks import require, settings_class
from models.settings.towers import ImageTowerSettings

PARTS = ("image_tower", "text_tower", "scalars")


@settings_class("Pretrained")
class PretrainedSettings:
    """A checkpoint to start from, in any format that models.pretrained reads (docs/checkpoints.md).

    Attributes:
      path: big_vision's .npz, a Hugging Face folder, an exported SavedModel, or a folder of pushed models, of which the
        newest is taken.
      parts: what is taken from it: "image_tower", "text_tower" and "scalars", which are t' and b.
      sha256: of the weights; the runner fills it in, so that a file that has changed is another run.
    """

    path: str = ""
    parts: tuple[str, ...] = PARTS
    sha256: str = ""

    def __post_init__(self) -> None:
        require(bool(self.path), "Pretrained.path", self.path, "a path", "name a checkpoint")
        require(bool(self.parts), "Pretrained.parts", self.parts, "not empty", f"name some of {', '.join(PARTS)}")
        for part in self.parts:
            require(part in PARTS, "Pretrained.parts", part, f"one of {', '.join(PARTS)}", "correct it")


@settings_class("Embedding")
class EmbeddingSettings:
    """What ImageEmbedder needs to know, and all that its result depends on.

    Attributes:
      image_tower: the locked tower.
      pretrained: its weights.
      compute_dtype: as Runtime.compute_dtype.
    """

    image_tower: ImageTowerSettings
    pretrained: PretrainedSettings
    compute_dtype: str = "float32"
