"""How pictures are opened, turned upright, put on white and encoded."""

import io

import numpy as np
from PIL import Image

_LOSSY = ("JPEG", "MPO", "WEBP")
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def on_white(image: bytes) -> Image.Image:
    """An encoded picture -> its pixels by `to_rgb`."""
    with Image.open(io.BytesIO(image)) as opened:
        return to_rgb(opened)


def to_rgb(picture: Image.Image) -> Image.Image:
    """An opened picture -> its first frame as RGB, with white behind transparent pixels; 16 bits become 8."""
    picture.load()
    if picture.mode.startswith(("I", "F")):  # 16 bits and more, one channel
        levels = np.asarray(picture).astype(np.float64)
        scale = 1 / 257 if levels.max() > 255 else 255 if picture.mode == "F" and levels.max() <= 1 else 1
        return Image.fromarray(np.clip(levels * scale, 0, 255).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        coloured = picture.convert("RGBA")
        white = Image.new("RGBA", coloured.size, "white")
        white.alpha_composite(coloured)
        return white.convert("RGB")
    return picture.convert("RGB")


def orientation(picture: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) if the picture has none or it cannot be read."""
    if "exif" not in picture.info and "xmp" not in picture.info:
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
        picture.save(encoded, "JPEG", quality=quality)
    else:
        picture.save(encoded, "PNG")
    return encoded.getvalue()
