"""The decode check keeps, re-encodes or drops pictures; a stored picture looks as a person would see it."""

import collections
import io
import itertools
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageColor

from beam.filters.pictures import DecodeCheck, PictureSettings
from beam.image_formats import tensorflow_view
from beam.records import ImageText, Rejected
from models import settings
from models.inputs import images
from tests.pictures import encode

CHECK = DecodeCheck(PictureSettings(min_side=16, max_pixels=10_000))


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
def test_an_unusable_picture_is_dropped_with_a_reason(image, reason):
    outcome = CHECK(row(image))
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.position) == (reason, "file:1")
    assert outcome.detail


def test_the_detail_of_a_reject_is_the_same_in_every_run():
    first, second = (CHECK(row(bytes(bytearray(b"not a picture")))) for _ in range(2))
    assert first == second
    assert first.detail == "13 bytes: no BMP, GIF, JPEG, PNG, PPM, TIFF or WEBP"


def test_a_truncated_picture_is_undecodable():
    whole = encode(Image.effect_noise((64, 64), 80).convert("RGB"), "JPEG")
    outcome = CHECK(row(whole[: len(whole) // 2]))
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "image_undecodable"


def jpegs() -> Iterator[bytes]:
    """JPEGs of every encoding, with sides that are and are not multiples of a block."""
    noise = np.random.default_rng(0)
    for mode, (width, height) in itertools.product(("RGB", "L", "CMYK"), ((64, 64), (37, 53), (131, 20), (1, 5))):
        coarse = Image.fromarray(noise.integers(0, 256, (6, 8, 3), np.uint8)).resize((width, height)).convert(mode)
        for how in ({"subsampling": 0}, {"progressive": True}, {"subsampling": 2, "restart_marker_blocks": 3}):
            yield encode(coarse, "JPEG", **how)


def test_decoding_an_eighth_of_a_jpeg_refuses_the_same_files():
    """Both ways refuse the same broken files: bytes cut off, changed or left out, and other sides and sampling."""
    seeds, draw, verdicts = list(jpegs()), random.Random(0), collections.Counter()
    for number in range(2000):
        broken = bytearray(draw.choice(seeds))
        place = draw.randrange(2, len(broken))
        frame = max(bytes(broken).find(b"\xff\xc0"), bytes(broken).find(b"\xff\xc2"))
        match number % 4:
            case 0:
                del broken[place:]
            case 1:
                broken[place] = draw.randrange(256)
            case 2:
                del broken[place : place + draw.randrange(1, 20)]
            case 3:
                broken[frame + draw.choice((5, 6, 7, 8, 11))] = draw.choice((0, 1, 0x11, 0x21, 0x31, 0x22, 0x41, 255))
        small, full = (decode(bytes(broken)) for decode in (tensorflow_view.decode_eighth, tensorflow_view.decode))
        assert (small is None) == (full is None), bytes(broken)
        verdicts[full is None] += 1
        if full is not None:
            assert tuple(small.shape[:2]) == tuple(-(-side // 8) for side in full.shape[:2])
    assert min(verdicts.values()) > 200


def stored(image: bytes, **rules) -> Image.Image:
    kept = DecodeCheck(PictureSettings(**rules))(row(image))
    assert isinstance(kept, ImageText), kept
    return Image.open(io.BytesIO(kept.image))


def seen_by_the_model(image: bytes) -> np.ndarray:
    """int [4, 4, 3], as training and serving decode a stored picture."""
    tower = settings.ImageTowerSettings(size=4, patch=4)
    return images.decode_and_resize(tf.constant(image), tower).numpy().astype(int)


@pytest.mark.parametrize(("picture", "stored_format"), [
    (encode(Image.new("RGB", (32, 32), (9, 99, 200)), "WEBP"), "JPEG"),
    (encode(Image.new("RGB", (32, 32), (9, 99, 200)), "TIFF"), "PNG"),
    (encode(Image.new("RGB", (32, 32), (9, 99, 200)), "PPM"), "PNG"),
    (encode(Image.new("RGB", (32, 32), (9, 99, 200)).quantize(4), "BMP"), "PNG"),  # TensorFlow takes indices for grey
    (encode(Image.new("RGB", (32, 32), (9, 99, 200)))[:-12], "PNG"),  # no IEND: Pillow opens it, TensorFlow refuses it
])  # fmt: skip
def test_a_picture_that_tensorflow_cannot_decode_is_stored_in_another_format(picture, stored_format):
    kept = CHECK(row(picture))
    assert isinstance(kept, ImageText)
    found = Image.open(io.BytesIO(kept.image))
    assert (found.format, found.mode, found.size) == (stored_format, "RGB", (32, 32))
    assert np.abs(seen_by_the_model(kept.image) - [9, 99, 200]).max() < 5


def colours() -> Image.Image:
    """24 x 16: red, green over blue, white."""
    picture = Image.new("RGB", (24, 16), "white")
    for box, colour in (((0, 0, 12, 8), "#f00"), ((12, 0, 24, 8), "#0f0"), ((0, 8, 12, 16), "#00f")):
        picture.paste(colour, box)
    return picture


def with_orientation(picture: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    picture.save(stream, "JPEG", exif=exif, quality=95, subsampling=0)
    return stream.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_photo_is_stored_upright(orientation):
    to_file = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
               5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
               8: Image.Transpose.ROTATE_270}  # fmt: skip
    upright = colours()
    photo = with_orientation(upright.transpose(to_file[orientation]) if orientation > 1 else upright, orientation)
    found = stored(photo)
    assert found.size == upright.size
    corners = np.ix_([3, 12], [5, 18])
    assert np.abs(np.asarray(found).astype(int) - np.asarray(upright))[corners].max() < 25
    assert (CHECK(row(photo)).image == photo) == (orientation == 1)


def transparent() -> Image.Image:
    """`colours` in RGBA, with a transparent left half."""
    picture = colours().convert("RGBA")
    picture.putalpha(Image.new("L", picture.size, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 12, 16))
    return picture


WHITE_LEFT = [["#fff", "#0f0"], ["#fff", "#fff"]]
ALL = [["#f00", "#0f0"], ["#00f", "#fff"]]
GREY = Image.fromarray(np.repeat([[0, 90], [180, 255]], 12, axis=1).repeat(8, axis=0).astype(np.uint16) * 257)


@pytest.mark.parametrize(("picture", "formats", "expected"), [
    (transparent(), ("PNG", "WEBP", "TIFF", "GIF"), WHITE_LEFT),
    (transparent().quantize(8), ("PNG",), WHITE_LEFT),
    (transparent().convert("LA"), ("PNG", "TIFF"), [["#fff", "#969696"], ["#fff", "#fff"]]),
    (colours().convert("CMYK"), ("JPEG", "TIFF"), ALL),
    (colours().quantize(8), ("PNG", "GIF", "TIFF", "BMP"), ALL),
    (colours().convert("L"), ("PNG", "JPEG", "BMP", "TIFF", "GIF"), [["#4c4c4c", "#969696"], ["#1d1d1d", "#fff"]]),
    (colours().convert("L").point(lambda level: 255 * (level > 99)).convert("1"), ("PNG", "BMP", "TIFF", "GIF", "PPM"),
     [["#000", "#fff"], ["#000", "#fff"]]),
    (GREY, ("PNG", "TIFF", "PPM"), [["#000", "#5a5a5a"], ["#b4b4b4", "#fff"]]),
])  # fmt: skip
def test_the_model_sees_what_a_person_would_see(picture, formats, expected):
    """Alpha, CMYK, 16 bits, palettes and two levels, in every format that can hold them."""
    colour = np.array([[ImageColor.getrgb(one) for one in line] for line in expected])
    for image_format in formats:
        kept = CHECK(row(encode(picture, image_format)))
        assert isinstance(kept, ImageText), kept
        decoded = images._composite_on_white(tf.io.decode_image(kept.image, expand_animations=False)).numpy()
        assert decoded.shape == (16, 24, 3)
        assert np.abs(decoded[np.ix_([3, 12], [5, 18])] - colour).max() < 30, image_format


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (32, 32), colour) for colour in ((200, 9, 9), (9, 9, 200))]
    for image_format in ("GIF", "WEBP", "PNG", "TIFF"):
        stream = io.BytesIO()
        frames[0].save(stream, image_format, save_all=True, append_images=frames[1:])
        kept = CHECK(row(stream.getvalue()))
        assert np.abs(seen_by_the_model(kept.image) - [200, 9, 9]).max() < 5, image_format


def test_larger_pictures_are_shrunk_to_the_stored_side_and_smaller_ones_stay():
    photo = encode(Image.effect_noise((400, 200), 60).convert("RGB"), "JPEG")
    found = stored(photo, stored_side=100)
    assert (found.size, found.format) == ((200, 100), "JPEG")
    assert DecodeCheck(PictureSettings(stored_side=200))(row(photo)).image == photo
    for orientation, size in ((3, (200, 100)), (4, (200, 100)), (6, (100, 200))):  # upside down keeps width and height
        turned = stored(with_orientation(Image.new("RGB", (400, 200)), orientation), stored_side=100)
        assert turned.size == size, orientation
    low, high = (DecodeCheck(PictureSettings(stored_side=100, quality=one))(row(photo)).image for one in (20, 95))
    assert len(low) < len(high) / 2
    assert stored(photo, stored_side=100, quality=0).format == "PNG"


@pytest.mark.parametrize(("rules", "picture", "reason"), [
    ({"max_aspect": 3.0}, Image.new("RGB", (20, 61)), "image_aspect"),
    ({"max_aspect": 3.0}, Image.new("RGB", (20, 60)), None),
    ({"min_pixels": 401}, Image.new("RGB", (20, 20)), "image_too_small"),
    ({"min_contrast": 2.0}, Image.new("RGB", (20, 20), "red"), "image_blank"),
    ({"min_contrast": 2.0}, Image.new("RGB", (20, 20), "red").quantize(2), "image_blank"),
    ({"min_contrast": 2.0}, Image.new("RGBA", (20, 20), (0, 0, 0, 0)), "image_blank"),
    ({"min_contrast": 2.0}, colours(), None),
    ({"max_bytes": 10}, colours(), "image_too_large"),
])  # fmt: skip
def test_each_limit_drops_with_its_reason(rules, picture, reason):
    outcome = DecodeCheck(PictureSettings(**rules))(row(encode(picture)))
    assert getattr(outcome, "reason", None) == reason


def test_a_bomb_is_refused_before_it_is_decoded():
    bomb = bytearray(encode(Image.new("L", (16, 16))))
    bomb[16:24] = struct.pack(">II", 60_000, 60_000)
    assert DecodeCheck(PictureSettings())(row(bytes(bomb))).reason == "image_undecodable"  # the header's checksum
    bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
    assert DecodeCheck(PictureSettings())(row(bytes(bomb))).reason == "image_too_large"


def test_the_content_counts_and_not_the_name_of_the_file():
    gif = encode(colours(), "GIF")
    assert CHECK(ImageText("k", gif, "a", "pictures/wrong.jpg:1", "test")).image == gif


def test_a_picture_with_broken_metadata_is_kept():
    photo = with_orientation(colours(), 6)
    broken = photo.replace(b"Exif\0\0MM\0*", b"Exif\0\0MM\xff\xff")
    assert broken != photo
    assert CHECK(row(broken)).image == broken


def test_formats_that_run_other_programs_are_refused():
    outcome = CHECK(row(encode(Image.new("RGB", (32, 32)), "EPS")))
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "image_undecodable"
