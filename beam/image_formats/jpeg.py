"""The markers of a JPEG file (ITU T.81): its coding, its scans and whether these hold the whole picture."""

import itertools
import re
from collections.abc import Iterator

import numpy as np
from PIL import Image

from beam.image_formats import tensorflow_view
from beam.image_formats.structure import Size, Structure

_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_OTHER_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)  # lossless, hierarchical, arithmetic
_SCAN, _END, _ADOBE, _MULTI_PICTURE = 0xDA, 0xD9, 0xEE, 0xE2
_ALONE = (0x00, 0x01, *range(0xD0, 0xD9))  # markers without a payload
_SCAN_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_PICTURE = re.compile(rb"\xff\xd8\xff")
_MOST_PICTURES, _MOST_SEGMENTS = 100, 1000
_MOST_SCANS = 500  # a decoder goes over all pixels for each scan
_MISSING = 128  # a decoder's value of all channels of a block without data
_ROUNDING = 2  # of brightness, where a decoder smooths colours across blocks
_PROBE = bytes(range(1, 250, 3))  # data of some blocks
_STARTS = b"\xb6\x5a\xd4\x2d\xe9\x6b\x93\x4c"  # of probes: a block's grey changes only if its first code says so


def read(image: bytes) -> Structure:
    """Returns the structure.

    A progressive file is whole if its scans give all bits of all coefficients, and all scans but the last, which only
    refines, have all blocks.
    """
    frame, scan, components, adobe, several = 0, b"", 0, False, False
    for marker, start, end in _segments(image):
        if marker in _SEQUENTIAL or marker == _PROGRESSIVE:
            frame, components = marker, image[start + 5]
        elif marker in _OTHER_FRAMES:
            return Structure(refused="it is a JPEG that is neither baseline nor progressive")
        elif marker == _ADOBE:
            adobe |= image[start : start + 5] == b"Adobe"
        elif marker == _MULTI_PICTURE:
            several |= image[start : start + 4] == b"MPF\0"
        elif marker == _SCAN:
            scan = image[start:end]
            break
    kept = components in (1, 3) or (components == 4 and adobe)
    sizes = tuple(_further_sizes(image)) if several else ()
    refused, probed = "", None
    if frame == _PROGRESSIVE:
        probed = -1
        scans = [image[start:end] for marker, start, end in _segments(image) if marker == _SCAN]
        refused = f"it has {len(scans)} scans, more than {_MOST_SCANS}" if len(scans) > _MOST_SCANS else ""
        if not _scans_cover(scans, components):
            return Structure(sizes, kept, refused, lambda _picture, _seen: False)
    one_scan = components < 4 and scan[:1] == bytes([components])  # a missing block of CMYK has another grey
    return Structure(
        sizes, kept, refused, lambda picture, seen: _blocks_cover(image, one_scan, slice(probed), picture, seen)
    )


def _blocks_cover(
    image: bytes, first_has_all: bool, probed: slice, picture: Image.Image, eighth: np.ndarray | None
) -> bool:
    """Whether the `probed` scans have all their blocks: if so, more data behind them changes no pixel.

    A decoder fills missing blocks with one grey. So if the first scan has all components, and the last pixel is
    brighter or darker, no block is missing at the end.
    """
    if first_has_all:
        if eighth is not None and (eighth[-1, -1] != _MISSING).any():
            return True
        if eighth is None and abs(_last_brightness(picture) - _MISSING) > _ROUNDING:
            return True
    closed = image + b"\xff\xd9"  # a missing end marker does no harm
    pixels = tensorflow_view.decode_eighth(closed)
    if pixels is None:
        return False
    changed = tensorflow_view.decode_eighth(_with_more_data(closed, probed))
    return changed is not None and np.array_equal(pixels, changed)


def _with_more_data(image: bytes, scans: slice) -> bytes:
    """Adds data before each restart marker of these scans, and further restart intervals behind them."""
    made, done = bytearray(), 0
    for start, end in list(_scan_places(image))[scans]:
        data, intervals = _RESTART.subn(lambda marker: _STARTS[:1] + _PROBE + marker[0], image[start:end])
        made += image[done:start] + data + _STARTS[:1] + _PROBE
        for number, first in enumerate(_STARTS, intervals):
            made += bytes((0xFF, 0xD0 + number % 8, first)) + _PROBE
        done = end
    return bytes(made) + image[done:]


def _last_brightness(picture: Image.Image) -> int:
    width, height = picture.size
    return picture.crop((width - 1, height - 1, width, height)).convert("L").tobytes()[0]


def _scans_cover(scans: list[bytes], components: int) -> bool:
    """Whether the headers of a progressive JPEG's scans name all bits of all 64 coefficients of each component."""
    missing: dict[int, list[int]] = {}
    for scan in scans:
        first, last, bits = scan[-3:]
        for component in scan[1:-3:2]:
            missing.setdefault(component, [16] * 64)[first : last + 1] = [bits & 15] * (last + 1 - first)
    return len(missing) == components and not any(map(any, missing.values()))


def _segments(image: bytes, place: int = 2) -> Iterator[tuple[int, int, int]]:
    """Yields (marker, start and end of its payload) up to the end marker; skips the data of scans."""
    while (place := image.find(b"\xff", place)) >= 0:
        while image[place : place + 1] == b"\xff":
            place += 1
        if place + 2 >= len(image):
            return
        marker, start = image[place], place + 3
        place += 1
        if marker in _ALONE:
            continue
        if marker == _END:
            return
        place += image[place] << 8 | image[place + 1]
        yield marker, start, place
        if marker == _SCAN:
            found = _SCAN_END.search(image, place)
            if not found:
                return
            place = found.start()


def _scan_places(image: bytes) -> Iterator[tuple[int, int]]:
    """Yields the start and the end of the data of each scan."""
    for marker, _, end in _segments(image):
        if marker == _SCAN and (found := _SCAN_END.search(image, end)):
            yield end, found.start()


def _further_sizes(image: bytes) -> Iterator[Size]:
    """Yields the sizes of the pictures behind the first one. No decoder reads these; so a few of them are enough."""
    for found in itertools.islice(_PICTURE.finditer(image, 2), _MOST_PICTURES):
        for marker, start, _ in itertools.islice(_segments(image, found.start() + 2), _MOST_SEGMENTS):
            if marker in _SEQUENTIAL or marker == _PROGRESSIVE:
                height, width = (image[at] << 8 | image[at + 1] for at in (start + 1, start + 3))
                yield width, height
            if marker in (*_SEQUENTIAL, _PROGRESSIVE, _SCAN):
                break
