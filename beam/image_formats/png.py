"""The chunks of a PNG file (W3C PNG, third edition): depth, transparency, frames and whether its data is whole."""

import struct
import zlib
from collections.abc import Iterator

from beam.image_formats.structure import Size, Structure

_GREY, _RGB, _PALETTE = 0, 2, 3
_CHANNELS = {_GREY: 1, _RGB: 3, _PALETTE: 1, 4: 2, 6: 4}
_METADATA = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 1 << 20  # bytes inflated at a time


def read(image: bytes) -> Structure:
    """Returns the structure. A file with a second header is refused: decoders disagree on which one counts."""
    header: tuple[int, ...] = ()
    frames: list[Size] = []
    found: list[bytes] = []
    colours = transparent = 0
    late = False
    for kind, start, end in _chunks(image):
        if kind == b"IHDR":
            if header:
                return Structure(refused="its header occurs twice")
            header = struct.unpack_from(">IIBBBBB", image, start)
        elif kind == b"fcTL":
            frames.append(struct.unpack_from(">II", image, start + 4))
        elif kind == b"PLTE":
            colours = (end - start) // 3
        elif kind == b"tRNS":
            transparent = end - start
        late |= b"IDAT" in found and kind in (*_METADATA, b"PLTE", b"tRNS")  # Pillow takes it, TensorFlow does not
        if kind in (b"IDAT", b"PLTE", b"tRNS", b"acTL"):
            found.append(kind)
    if not header:
        return Structure()
    width, height, depth, colour, _, _, interlaced = header
    refused = ""
    if transparent and colour in (_GREY, _RGB) and depth not in (1, 8):
        refused = f"it has a transparent colour at {depth} bits, which Pillow mistakes for another colour"
    in_palette = colour == _PALETTE and transparent <= colours and found[:2] == [b"PLTE", b"tRNS"]
    kept = not late and b"acTL" not in found and (not transparent or in_palette)
    # TensorFlow refuses a file without all its rows.
    rows = _row_bytes(width, height, depth * _CHANNELS.get(colour, 0), bool(interlaced))
    return Structure(tuple(frames), kept, refused, lambda _picture, seen: seen is not None or _inflates_to(image, rows))


def _chunks(image: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields (kind, start and end of the content) of each chunk up to IEND or the file's end."""
    place = 8
    while place + 8 <= len(image):
        length, kind = struct.unpack_from(">I4s", image, place)
        yield kind, place + 8, place + 8 + length
        if kind == b"IEND":
            return
        place += length + 12


def _row_bytes(width: int, height: int, pixel_bits: int, interlaced: bool) -> int:
    """The bytes of all rows, each with the byte that names its filter."""
    total = 0
    for left, top, step_x, step_y in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // step_x), -(-(height - top) // step_y)
        if columns > 0:
            total += max(rows, 0) * (1 + -(-columns * pixel_bits // 8))
    return total


def _inflates_to(image: bytes, size: int) -> bool:
    """Whether the data inflates to at least `size` bytes; holds a megabyte at a time."""
    inflater, count = zlib.decompressobj(), 0
    for kind, start, end in _chunks(image):
        if kind != b"IDAT":
            continue
        waiting = image[start:end]
        while count < size and waiting and not inflater.eof:
            try:
                count += len(inflater.decompress(waiting, _PIECE))
            except zlib.error:
                return False
            waiting = inflater.unconsumed_tail
    while count < size and not inflater.eof and (more := inflater.decompress(b"", _PIECE)):
        count += len(more)
    return count >= size
