"""The blocks of a GIF file (GIF89a): its frames, their transparency, and whether the first one is whole."""

import io
import re
import struct

from PIL import Image

from beam.image_formats.structure import Size, Structure

_EXTENSION, _TRAILER, _CONTROL = 0x21, 0x3B, 0xF9
_BLOCK = re.compile(rb"[!,;]")
_HEADER = 13


def read(image: bytes) -> Structure:
    """Returns the structure. A file is kept if its one frame is opaque and fills the screen."""
    screen = struct.unpack_from("<HH", image, 6)
    place = _HEADER + _palette_bytes(image[10])
    sizes: list[Size] = [screen]
    first, transparent = 0, False
    fills = False
    # Pillow skips other bytes. The shortest frame has 13 bytes; a shorter rest is none.
    while (block := _BLOCK.search(image, place)) and image[block.start()] != _TRAILER:
        place = block.start()
        kind = image[place]
        if place + 13 > len(image):
            break
        if kind == _EXTENSION:
            transparent |= not first and image[place + 1] == _CONTROL and bool(image[place + 3] & 1)
            place = _after_blocks(image, place + 2)
        else:
            left, top, width, height, flags = struct.unpack_from("<HHHHB", image, place + 1)
            sizes.append((left + width, top + height))
            if not first:
                first, fills = place, (left, top, width, height) == (0, 0, *screen)
            place = _after_blocks(image, place + 11 + _palette_bytes(flags))
    if not first:
        return Structure(tuple(sizes))
    kept = len(sizes) == 2 and fills and not transparent
    return Structure(tuple(sizes), kept, is_whole=lambda _picture, _seen: _is_filled(image, first))


def _palette_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(image: bytes, place: int) -> int:
    while place < len(image) and image[place]:
        place += image[place] + 1
    return place + 1


def _is_filled(image: bytes, frame: int) -> bool:
    """Whether the first frame's data gives each of its pixels.

    Pillow fills a picture with its transparent colour before it decodes. The pixels that differ after decoding with two
    such colours have no data.
    """
    left, top, width, height = struct.unpack_from("<HHHH", image, frame + 1)
    found = []
    for colour in (0, 1):
        control = bytes((_EXTENSION, _CONTROL, 4, 1, 0, 0, colour, 0))
        with Image.open(io.BytesIO(image[:frame] + control + image[frame:]), formats=("GIF",)) as picture:
            found.append(picture.crop((left, top, left + width, top + height)).tobytes())
    return found[0] == found[1]
