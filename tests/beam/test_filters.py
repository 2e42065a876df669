import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from beam import filters
from beam.records import ImageText, Rejected
from models import images, settings
from tests.pictures import encode

CHECK = filters.DecodeCheck(min_side=16, max_pixels=10_000)


def row(image: bytes, caption: str = "a picture") -> ImageText:
    return ImageText("key", image, caption, "file:1", "test")


def test_a_good_picture_is_kept_byte_for_byte(red_png):
    assert CHECK(row(red_png)) == row(red_png)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (b"", "image_empty"),
        (b"not a picture", "image_undecodable"),
        (encode(Image.new("RGB", (8, 40))), "image_too_small"),
        (encode(Image.new("RGB", (200, 200))), "image_too_large"),
        (encode(Image.radial_gradient("L"), "JPEG")[:900], "image_too_large"),
    ],
)
def test_what_cannot_be_used_is_dropped_with_its_reason(image, reason):
    outcome = CHECK(row(image))
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.position) == (reason, "file:1")
    assert outcome.detail


def test_a_truncated_picture_is_undecodable():
    whole = encode(Image.effect_noise((64, 64), 80).convert("RGB"), "JPEG")
    outcome = CHECK(row(whole[: len(whole) // 2]))
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "image_undecodable"


@pytest.mark.parametrize(
    "picture",
    [
        encode(Image.new("RGB", (32, 32), (9, 99, 200)), "WEBP"),
        encode(Image.new("RGB", (32, 32), (9, 99, 200)), "TIFF"),
        encode(Image.new("RGB", (32, 32), (9, 99, 200)))[:-12],  # no IEND chunk: Pillow does not mind, TensorFlow does
    ],
)
def test_what_tensorflow_cannot_decode_is_stored_as_png(picture):
    kept = CHECK(row(picture))
    assert isinstance(kept, ImageText)
    stored = Image.open(io.BytesIO(kept.image))
    assert (stored.format, stored.mode, stored.size) == ("PNG", "RGB", (32, 32))
    pixels = images.decode_and_resize(tf.constant(kept.image), settings.ImageTowerSettings(size=4, patch=4)).numpy()
    assert np.abs(pixels.astype(int) - [9, 99, 200]).max() < 4


@pytest.mark.parametrize(("mode", "colour", "image_format"), [
    ("I;16", 30000, "PNG"), ("CMYK", (9, 99, 200, 0), "JPEG"), ("P", 7, "GIF"), ("RGBA", (9, 99, 200, 0), "PNG"),
])  # fmt: skip
def test_what_tensorflow_decodes_is_stored_as_it_would_be_served(mode, colour, image_format):
    picture = encode(Image.new(mode, (32, 32), colour), image_format)
    assert CHECK(row(picture)) == row(picture)


def test_formats_that_run_other_programs_are_refused():
    outcome = CHECK(row(encode(Image.new("RGB", (32, 32)), "EPS")))
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "image_undecodable"


def test_captions_that_tokenise_alike_count_as_the_same():
    composed, decomposed, full_width = (
        filters.normalised_caption(row(b"", c)) for c in ("Café", "cafe\u0301", "ＣＡＦÉ")
    )
    assert composed == decomposed == full_width


def test_captions_are_stripped_and_empty_ones_dropped():
    assert filters.CaptionCheck()(row(b"x", "  a  b\n")) == row(b"x", "a b")
    outcome = filters.CaptionCheck()(row(b"x", " \n"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "caption_empty"
