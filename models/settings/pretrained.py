"""Where weights come from, if not from chance."""

import dataclasses

from models.checks import require, require_types
from models.configuration import configurable

PARTS = ("image_tower", "text_tower", "scalars")


@configurable("Pretrained")
@dataclasses.dataclass(frozen=True)
class PretrainedSettings:
    """A checkpoint that training starts from.

    Attributes:
      path: big_vision's .npz, a Hugging Face folder or a SavedModel of ours; empty starts from random weights.
      parts: what is taken from it: "image_tower", "text_tower", and "scalars", which are t' and b.
    """

    path: str = ""
    parts: tuple[str, ...] = PARTS

    def __post_init__(self) -> None:
        require_types(self)
        require(
            set(self.parts) <= {*PARTS} and len({*self.parts}) == len(self.parts) > 0,
            "Pretrained.parts",
            self.parts,
            f"some of {', '.join(PARTS)}, each once",
            "set such as ('image_tower',)",
        )
