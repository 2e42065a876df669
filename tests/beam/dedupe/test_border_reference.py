"""`without_border` looks at four lines first; it must crop exactly what the definition crops."""

import numpy as np
from PIL import Image

from beam.dedupe import fingerprints

_CASES = 400


def _by_definition(picture: Image.Image) -> Image.Image:
    """Measures all pixels each time, as the docstring of `without_border` says."""
    scale = max(1, max(picture.size) // fingerprints._BORDER_SIDE)
    pixels = np.asarray(picture.reduce(scale) if scale > 1 else picture).astype(np.int16)
    top, bottom, left, right = 0, pixels.shape[0], 0, pixels.shape[1]
    for _ in range(2):
        inner = pixels[top:bottom, left:right]
        outline = np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]])
        off = np.abs(inner - np.median(outline, axis=0).astype(np.int16)).max(axis=-1)
        rows = np.flatnonzero(off.mean(axis=1) > fingerprints._BORDER_NOISE)
        columns = rows
        if len(rows):
            columns = np.flatnonzero(off[rows[0] : rows[-1] + 1].mean(axis=0) > fingerprints._BORDER_NOISE)
        if not len(columns) or 4 * np.ptp(rows) < pixels.shape[0] or 4 * np.ptp(columns) < pixels.shape[1]:
            break
        top, bottom = top + int(rows[0]), top + int(rows[-1]) + 1
        left, right = left + int(columns[0]), left + int(columns[-1]) + 1
    if (top, bottom, left, right) == (0, pixels.shape[0], 0, pixels.shape[1]):
        return picture
    box = (scale * left, scale * top, min(scale * right, picture.width), min(scale * bottom, picture.height))
    return picture.crop(box)


def _pictures():
    """Noise and smooth pictures with no, one or two borders of one colour, some of them noisy."""
    draw = np.random.default_rng(1)
    for number in range(_CASES):
        height, width = (int(side) for side in draw.integers(*((1, 60) if number % 50 else (500, 1100)), 2))
        pixels = draw.integers(0, 256, (height, width, 3), np.uint8)
        if number % 3:
            coarse = Image.fromarray(draw.integers(0, 256, (2, 2, 3), np.uint8))
            pixels = np.array(coarse.resize((width, height)))
        for _ in range(draw.integers(0, 3)):
            margins = [int(draw.integers(0, max(1, side // 3))) for side in (height, height, width, width)]
            border: np.ndarray = np.ones((height, width), bool)
            border[margins[0] : height - margins[1], margins[2] : width - margins[3]] = False
            noise = draw.normal(0, draw.choice([0, 10, 40]), (border.sum(), 3))
            pixels[border] = np.clip(draw.integers(0, 256, 3) + noise, 0, 255)
        yield Image.fromarray(pixels)


def test_borders_are_cropped_as_defined(record_property):
    cropped = 0
    for number, picture in enumerate(_pictures()):
        expected, found = _by_definition(picture), fingerprints.without_border(picture)
        assert (found is picture) == (expected is picture), number
        assert (found.size, found.tobytes()) == (expected.size, expected.tobytes()), number
        cropped += found is not picture
    record_property("cases", _CASES)
    print(f"{_CASES} pictures, {cropped} cropped")
    assert cropped > _CASES / 4  # control: many have a border
