"""Views of a picture: the changes that the Augmenter makes to it, drawn from a seed."""

import io
import random
from collections.abc import Callable

from PIL import Image, ImageEnhance, ImageFilter

from beam import image_codec

View = Callable[[Image.Image, random.Random], Image.Image]

_JPEG_QUALITY = (30, 90)
_CROP_AREA = (0.5, 1.0)  # share of the picture
_COLOUR = (0.6, 1.4)  # factors of brightness, contrast and saturation
_BLUR_RADIUS = (0.1, 2.0)  # pixels


def _crop(picture: Image.Image, draw: random.Random) -> Image.Image:
    """A part of the picture, with the same aspect."""
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
"""{name: view}."""


def view(image: bytes, name: str, draw: random.Random, quality: int) -> bytes:
    """An encoded picture -> the view of that name, encoded by `image_codec.encode`."""
    with Image.open(io.BytesIO(image)) as opened:
        return image_codec.encode(VIEWS[name](image_codec.to_rgb(opened), draw), opened.format, quality)
