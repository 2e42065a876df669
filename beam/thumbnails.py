"""Small pictures for pages and reports."""

import base64
import io

from beam import pictures

_SIDE = 96


def data_address(picture: bytes) -> str:
    """An encoded picture -> the data: address of a PNG of at most 96 x 96 pixels."""
    small = pictures.on_white(picture)
    small.thumbnail((_SIDE, _SIDE))
    encoded = io.BytesIO()
    small.save(encoded, format="PNG")
    return "data:image/png;base64," + base64.b64encode(encoded.getvalue()).decode()
