"""Settings of the checkpoint that training starts from."""

from models.settings.checks import require, settings_class
from models.settings.towers import ImageTowerSettings

TOWERS = ("image_tower", "text_tower")
PARTS = (*TOWERS, "scalars")


@settings_class("Pretrained")
class PretrainedSettings:
    """The checkpoint to start from, in any format that models.pretrained reads (docs/checkpoints.md).

    Attributes:
      path: big_vision's .npz file, a Hugging Face folder, the folder of an exported SavedModel, or a folder of pushed
        models, whose newest version counts. Required.
      parts: parts to load: "image_tower", "text_tower" and "scalars" (t' and b; of a SavedModel of the same objective,
        everything outside of the towers, such as projectors). Training draws all other weights. Leave "text_tower" out
        if you train with your own vocabulary.
      sha256: hash of the weights (hex). Leave it "": the runner fills it in, so a changed file starts another run. A
        run refuses a file with another hash than the one you set.
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
    """Settings of ImageEmbedder. The pipeline fills them in; its embeddings depend on nothing else but the pictures.

    Attributes:
      image_tower: sizes of the locked tower.
      pretrained: checkpoint with its weights.
      compute_dtype: dtype of the activations, a copy of Runtime.compute_dtype.
    """

    image_tower: ImageTowerSettings
    pretrained: PretrainedSettings
    compute_dtype: str = "float32"
