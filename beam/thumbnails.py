"""Thumbnails for pages and reports."""

import base64
import io

from PIL import Image

from beam import image_codec

_SIDE = 96


def data_address(picture: bytes, image_format: str = "PNG", side: int = _SIDE) -> str:
    """An encoded picture -> the data: address of a PNG or JPEG of at most `side` x `side` pixels."""
    with Image.open(io.BytesIO(picture)) as opened:
        small = image_codec.upright(opened)
    small.thumbnail((side, side))
    encoded = io.BytesIO()
    small.save(encoded, image_format, quality=85)
    return f"data:image/{image_format.lower()};base64," + base64.b64encode(encoded.getvalue()).decode()


def bytes_of(address: str) -> bytes:
    """The encoded picture of a data: address."""
    return base64.b64decode(address.partition(",")[2])
