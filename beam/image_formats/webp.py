"""The chunks of a WebP file (RFC 9649): the sizes of its canvas and frames. Every WebP is encoded anew."""

import struct

from beam.image_formats.structure import Size, Structure

_SIDE = 0x3FFF


def read(image: bytes) -> Structure:
    """Returns the sizes that the file names: Pillow allocates the canvas before it names them."""
    sizes: list[Size] = []
    place = 12
    while place + 8 <= len(image):
        kind, length = struct.unpack_from("<4sI", image, place)
        content = image[place + 8 : place + 24]
        if kind == b"VP8X":
            sizes.append((1 + _three(content, 4), 1 + _three(content, 7)))
        elif kind == b"ANMF":
            sizes.append((1 + _three(content, 6), 1 + _three(content, 9)))
        elif kind == b"VP8 ":
            width, height = struct.unpack_from("<HH", content, 6)
            sizes.append((width & _SIDE, height & _SIDE))
        elif kind == b"VP8L":
            (both,) = struct.unpack_from("<I", content, 1)
            sizes.append((1 + (both & _SIDE), 1 + (both >> 14 & _SIDE)))
        place += 8 + length + length % 2
    return Structure(tuple(sizes))


def _three(content: bytes, place: int) -> int:
    return int.from_bytes(content[place : place + 3], "little")
