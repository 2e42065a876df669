"""Stored pictures as Pillow's, and the views of them that the Augmenter draws from a seed."""

import io
import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

View = Callable[[Image.Image, random.Random], Image.Image]

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
_JPEG_QUALITY = (30, 90)
_CROP_AREA = (0.5, 1.0)
_COLOUR = (0.6, 1.4)
_BLUR_RADIUS = (0.1, 2.0)


def _crop(picture: Image.Image, draw: random.Random) -> Image.Image:
    """A part of the picture, of the same aspect."""
    side = draw.uniform(*_CROP_AREA) ** 0.5
    width, height = (max(1, round(side * full)) for full in picture.size)
    left, top = draw.randint(0, picture.width - width), draw.randint(0, picture.height - height)
    return picture.crop((left, top, left + width, top + height))


def _flip(picture: Image.Image, _: random.Random) -> Image.Image:
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _colour(picture: Image.Image, draw: random.Random) -> Image.Image:
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = enhance(picture).enhance(draw.uniform(*_COLOUR))
    return picture


def _grey(picture: Image.Image, _: random.Random) -> Image.Image:
    return picture.convert("L").convert("RGB")


def _blur(picture: Image.Image, draw: random.Random) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(draw.uniform(*_BLUR_RADIUS)))


def _jpeg(picture: Image.Image, draw: random.Random) -> Image.Image:
    encoded = io.BytesIO()
    picture.save(encoded, format="JPEG", quality=draw.randint(*_JPEG_QUALITY))
    return Image.open(encoded)


VIEWS: dict[str, View] = {
    "crop": _crop,
    "flip": _flip,
    "colour": _colour,
    "grey": _grey,
    "blur": _blur,
    "jpeg": _jpeg,
}
"""Views by name."""


def on_white(image: bytes) -> Image.Image:
    """A stored picture, encoded, as `to_rgb` has it."""
    with Image.open(io.BytesIO(image)) as opened:
        return to_rgb(opened)


def to_rgb(picture: Image.Image) -> Image.Image:
    """An opened picture -> its first frame as RGB, on white where it is transparent; 16 bits become 8."""
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
    """EXIF's, 1 where there is none or it cannot be read."""
    if "exif" not in picture.info and "xmp" not in picture.info:
        return 1  # asking further would decode a PNG
    try:
        orientation = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # broken metadata is no broken picture
        return 1
    return orientation if orientation in _UPRIGHT else 1


def upright(picture: Image.Image) -> Image.Image:
    """An opened picture as `to_rgb` has it, turned as its EXIF says."""
    turned, how = to_rgb(picture), orientation(picture)
    return turned if how == 1 else turned.transpose(_UPRIGHT[how])


def encode(picture: Image.Image, was: str | None, quality: int) -> bytes:
    """Encodes as JPEG of this quality what was in a lossy format, the rest as PNG; quality 0: PNG always."""
    encoded = io.BytesIO()
    if quality and was in _LOSSY:
        picture.save(encoded, "JPEG", quality=quality)
    else:
        picture.save(encoded, "PNG")
    return encoded.getvalue()


def view(image: bytes, name: str, draw: random.Random, quality: int) -> bytes:
    """An encoded picture -> the view of it, as `encode` has it."""
    with Image.open(io.BytesIO(image)) as opened:
        return encode(VIEWS[name](to_rgb(opened), draw), opened.format, quality)
