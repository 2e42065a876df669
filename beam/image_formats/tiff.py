"""The directories of a TIFF file (TIFF 6.0, BigTIFF): sizes of pages and tiles. Every TIFF is encoded anew."""

import math
import struct

import numpy as np
from PIL import Image, TiffImagePlugin

from beam.image_formats.structure import Size, Structure

_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 322, 323
_STRIPS, _SAMPLES, _STRIP_ROWS, _PLANAR, _TILES = 273, 277, 278, 284, 324
_SEPARATE = 2
_INTEGERS = {3: "H", 4: "I", 16: "Q"}
_MOST_ENTRIES = 100_000  # of all directories, which may overlap


def read(image: bytes) -> Structure:
    """Returns the structure, with the sizes of all pages and tiles."""
    order = "<" if image[:2] == b"II" else ">"
    big = b"+" in image[:4]
    count_format, offset_format, entry_bytes = ("Q", "Q", 20) if big else ("H", "I", 12)
    (place,) = struct.unpack_from(order + offset_format, image, 8 if big else 4)
    sizes: list[Size] = []
    seen: set[int] = set()
    entries = 0
    while place and place not in seen and entries < _MOST_ENTRIES:
        seen.add(place)
        try:
            (count,) = struct.unpack_from(order + count_format, image, place)
            places = range(place + struct.calcsize(count_format), len(image), entry_bytes)[:count]
            sizes += _sizes(image, order, places, big)
            entries += len(places) + 1
            (place,) = struct.unpack_from(order + offset_format, image, places.start + count * entry_bytes)
        except (struct.error, OverflowError):
            break  # Pillow reads the first page and says what is wrong with it
    return Structure(tuple(sizes), is_whole=_has_all_parts)


def _sizes(image: bytes, order: str, places: range, big: bool) -> list[Size]:
    named: dict[int, int] = {}
    for place in places[:_MOST_ENTRIES]:
        tag, kind = struct.unpack_from(order + "HH", image, place)
        if tag in (_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT) and kind in _INTEGERS:
            (named[tag],) = struct.unpack_from(order + _INTEGERS[kind], image, place + (12 if big else 8))
    pairs = ((_WIDTH, _HEIGHT), (_TILE_WIDTH, _TILE_HEIGHT))
    return [(named[width], named[height]) for width, height in pairs if width in named and height in named]


def _has_all_parts(picture: Image.Image, _seen: np.ndarray | None) -> bool:
    """Whether the file names all strips or tiles of its first page; Pillow leaves missing ones black."""
    assert isinstance(picture, TiffImagePlugin.TiffImageFile)
    tags = picture.tag_v2
    width, height = tags[_WIDTH], tags[_HEIGHT]
    if _STRIPS in tags:
        named, parts = tags[_STRIPS], math.ceil(height / tags.get(_STRIP_ROWS, height))
    else:
        named = tags[_TILES]
        parts = math.ceil(width / tags[_TILE_WIDTH]) * math.ceil(height / tags[_TILE_HEIGHT])
    planes = tags.get(_SAMPLES, 1) if tags.get(_PLANAR) == _SEPARATE else 1
    return len(named) >= parts * planes
