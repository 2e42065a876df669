"""Pictures that a row holds as base64, also as data: addresses."""

import base64
import binascii
import re

from beam.sources.rows.raw import InvalidRow, shown

_FIRST = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR", "SUkqA", "TU0AK", "Qk")  # JPEG PNG GIF WebP TIFF TIFF BMP
_SHORTEST = 48  # characters; no picture is smaller
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_DATA = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)


def decode(text: str | bytes, column: str) -> bytes:
    """Returns the bytes of base64, or of a data: address.

    Raises:
      InvalidRow: the text is neither.
    """
    start = text[:300].decode("latin-1") if isinstance(text, bytes) else text[:300]
    encoded: str | bytes = text
    if data := _DATA.match(start):
        if not data[0].casefold().endswith(";base64,"):
            raise InvalidRow("invalid_base64", f"{column} is {shown(text)}, but a data: address must hold base64")
        encoded = text[len(data[0]) :]
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: not ASCII
        raise InvalidRow("invalid_base64", f"{column} is {shown(text)}: {error}") from error


def is_inline(value: str | bytes) -> bool:
    """Whether a value in place of a picture or its path is a data: address, or starts as a picture in base64 does."""
    start = value[:_SHORTEST].decode("latin-1") if isinstance(value, bytes) else value[:_SHORTEST]
    if start[:5].casefold() == "data:":
        return True
    return len(value) >= _SHORTEST and start.startswith(_FIRST) and _BASE64.fullmatch(start) is not None
