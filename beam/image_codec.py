"""How pictures are opened, turned upright, put on white and encoded."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

_LOSSY = ("JPEG", "MPO", "WEBP")
_ORIENTATION = 0x0112
_METADATA = frozenset(["exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"])  # where `getexif` finds it
_BITS, _COMPRESSION, _LOOK = 258, 259, 262  # tags of TIFF
_WHITE_IS_ZERO, _YCBCR, _UNCOMPRESSED = 0, 6, 1
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnknownLook(ValueError):
    """Nobody can say which of the picture's values are black and white; the message says why."""


def on_white(image: bytes) -> Image.Image:
    """An encoded picture -> its pixels by `to_rgb`."""
    with Image.open(io.BytesIO(image)) as opened:
        return to_rgb(opened)


def to_rgb(picture: Image.Image) -> Image.Image:
    """An opened picture -> its first frame as RGB, with white behind transparent pixels; 16 bits become 8.

    Raises:
      UnknownLook: the file does not say which values are black and white.
    """
    tags = picture.tag_v2 if isinstance(picture, TiffImagePlugin.TiffImageFile) else {}
    picture.load()
    if picture.mode.startswith(("I", "F")):
        return Image.fromarray(_deep_grey(picture, tags)).convert("RGB")
    if tags.get(_LOOK) == _YCBCR and tags.get(_COMPRESSION) == _UNCOMPRESSED:
        raise UnknownLook("it is an uncompressed YCbCr TIFF, whose rows Pillow reads wrongly")
    if picture.has_transparency_data:
        coloured = picture.convert("RGBA")
        white = Image.new("RGBA", coloured.size, "white")
        white.alpha_composite(coloured)
        return white.convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _deep_grey(picture: Image.Image, tags: Mapping[int, Any]) -> np.ndarray:
    """One channel of more than 8 bits -> uint8 [H, W]; its type, and never its values, gives the scale."""
    levels: np.ndarray = np.asarray(picture)
    if tags and tags.get(_LOOK, _WHITE_IS_ZERO) == _WHITE_IS_ZERO:
        raise UnknownLook("its white is zero, which Pillow ignores in one channel of more than 8 bits")
    if picture.mode == "F":
        if not ((levels >= 0) & (levels <= 1)).all():  # false for NaN
            raise UnknownLook("it has floats that are not from 0 (black) to 1 (white)")
        levels = np.rint(levels * 255)
    elif picture.mode.startswith("I;16") or picture.format == "PPM":
        bits = tags.get(_BITS, (16,))[0]
        levels = levels.astype(np.int32) >> (bits - 8)  # as TensorFlow does
    else:
        raise UnknownLook(f"it has whole numbers of {tags.get(_BITS, (32,))[0]} bits with a sign, or of 32 bits")
    return np.clip(levels, 0, 255).astype(np.uint8)


def orientation(picture: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) if the picture has none or it cannot be read."""
    if _METADATA.isdisjoint(picture.info):
        return 1  # getexif would decode a PNG
    try:
        orientation = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken metadata is no broken picture
        return 1
    return orientation if orientation in _UPRIGHT else 1


def upright(picture: Image.Image) -> Image.Image:
    """An opened picture -> its pixels by `to_rgb`, turned upright by the EXIF orientation."""
    turned, how = to_rgb(picture), orientation(picture)
    return turned if how == 1 else turned.transpose(_UPRIGHT[how])


def encode(picture: Image.Image, was: str | None, quality: int) -> bytes:
    """Encodes a picture: as JPEG of this quality if it was in a lossy format, else as PNG.

    Args:
      picture: its pixels.
      was: the format that the picture was stored in, by Pillow's name.
      quality: of JPEG, 1 to 100; 0 always takes PNG.
    """
    encoded = io.BytesIO()
    if quality and was in _LOSSY:
        picture.save(encoded, "JPEG", quality=quality, subsampling=0)  # halved colours would change edges
    else:
        picture.save(encoded, "PNG")
    return encoded.getvalue()
