"""The facts about a picture's file that decide whether it may be decoded, kept, or must be encoded anew."""

import dataclasses
from collections.abc import Callable

import numpy as np
from PIL import Image

Size = tuple[int, int]
"""(width, height) in pixels."""


def _always(_picture: Image.Image, _seen: np.ndarray | None) -> bool:
    return True


@dataclasses.dataclass(frozen=True)
class Structure:
    """What a file says about its picture.

    Attributes:
      sizes: the sizes that a decoder may allocate: canvas, every frame or page, tiles. Empty if Pillow knows them all.
      kept: TensorFlow decodes this kind of file to the pixels that Pillow decodes, within 1 of 255. So its bytes may be
        stored as they are.
      refused: why the picture cannot be used, or "".
      is_whole: says whether the data holds all pixels; decoders fill missing ones silently. It takes the picture,
        opened by Pillow, and what TensorFlow sees (an eighth of a JPEG), or None if Pillow has loaded the picture
        instead.
    """

    sizes: tuple[Size, ...] = ()
    kept: bool = False
    refused: str = ""
    is_whole: Callable[[Image.Image, np.ndarray | None], bool] = _always
