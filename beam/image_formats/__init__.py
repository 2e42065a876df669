"""What the files of pictures say about themselves, read before anything is decoded."""

import struct

from beam.image_formats import gif, jpeg, png, tiff, webp
from beam.image_formats.structure import Structure

_READERS = (
    ((b"\xff\xd8\xff",), jpeg.read),
    ((b"\x89PNG\r\n\x1a\n",), png.read),
    ((b"GIF8",), gif.read),
    ((b"RIFF",), webp.read),
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"MM*\0", b"II\0*"), tiff.read),
)


def read(image: bytes) -> Structure:
    """Returns the structure of an encoded picture; `Structure()`, which must be encoded anew, for a broken header."""
    for starts, reader in _READERS:
        if image.startswith(starts):
            try:
                return reader(image)
            except (IndexError, struct.error):  # the file ends inside its header
                return Structure()
    return Structure()
