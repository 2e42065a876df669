"""`without_border` crops borders of one colour, also in lossy files."""

import io

import pytest
from PIL import Image, ImageOps

from beam.dedupe import fingerprints
from tests.beam.dedupe.test_deduplicate import SETTINGS, scene
from tests.pictures import encode


@pytest.mark.parametrize("width", [7, 8, 10])
@pytest.mark.parametrize("quality_of_jpeg", [95, 60, 30])
@pytest.mark.parametrize("colour", ["black", "white", "red"])
def test_border_in_a_jpeg_is_cropped_in_spite_of_edge_noise(width, quality_of_jpeg, colour):
    inner = scene(600, (200, 150))
    bordered = encode(ImageOps.expand(inner, width, colour), "JPEG", quality=quality_of_jpeg)
    found = fingerprints.without_border(Image.open(io.BytesIO(bordered)).convert("RGB"))
    assert max(abs(a - b) for a, b in zip(found.size, inner.size, strict=True)) <= 2
    hashes = [int.from_bytes(fingerprints.perceptual_hash(picture), "big") for picture in (found, inner)]
    assert (hashes[0] ^ hashes[1]).bit_count() <= SETTINGS.image_distance


@pytest.mark.parametrize("colour", ["black", "white", (200, 30, 60)])
def test_one_or_two_borders_are_cropped_and_nothing_else(colour):
    inner = scene(600)
    for bordered in (ImageOps.expand(inner, 9, colour), ImageOps.expand(ImageOps.expand(inner, 9, colour), 5, "green")):
        found = fingerprints.without_border(bordered)
        assert max(abs(a - b) for a, b in zip(found.size, inner.size, strict=True)) <= 1
    assert fingerprints.without_border(inner) is inner
    blank = Image.new("RGB", (50, 50), colour)
    assert fingerprints.without_border(blank) is blank
    blank.putpixel((25, 25), (0, 255, 0))  # a speck is too small to be a picture with a border
    assert fingerprints.without_border(blank) is blank
