"""A picture that lacks a part of its data is rejected, however cleanly its file ends; a whole one is not."""

import collections
import io
import struct

import numpy as np
import pytest
from PIL import Image

from beam.filters.pictures import DecodeCheck, PictureSettings
from beam.records import ImageText, Rejected
from tests import picture_writers as writers
from tests.beam.image_formats.test_same_pixels import seen_by_the_model
from tests.pictures import encode

CHECK = DecodeCheck(PictureSettings(min_side=1, quality=0))
END = b"\xff\xd9"


def checked(image: bytes, check: DecodeCheck = CHECK) -> ImageText | Rejected:
    return check(ImageText("key", image, "caption", "place", "source"))


def photo(side: int = 64, seed: int = 0) -> Image.Image:
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 256, (9, 9, 3), np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    noisy = np.asarray(coarse) + draw.normal(0, 6, (side, side, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def png(share: float, **options: bool) -> bytes:
    return writers.png(np.asarray(photo()), rows_left=share, **options)


def cut(image: bytes, share: float) -> bytes:
    return image[: int(share * len(image))] + END


def short_gif() -> bytes:
    draw = np.random.default_rng(0)
    return writers.gif(draw, (40, 40), [writers.gif_frame(draw, (0, 0, 40, 40), pixels=800)])


SHORT_GIF = short_gif()
SAMPLING = [(2, 2), (1, 1), (1, 1)]


@pytest.mark.parametrize("image", [
    png(0.5), png(0.5, interlaced=True), png(65 / 193), png(0.0),
    cut(encode(photo(), "JPEG"), 0.5),
    cut(encode(photo(), "JPEG", progressive=True), 0.5),
    cut(encode(photo().convert("L"), "JPEG"), 0.7),
    cut(encode(photo().convert("CMYK"), "JPEG"), 0.7),
    cut(encode(photo(), "JPEG", restart_marker_blocks=3), 0.6),
    writers.jpeg(np.random.default_rng(0), (90, 80), SAMPLING, share=0.5),
    SHORT_GIF,
    writers.tiff(40, 40, b"\5\x90" * 800, {258: (3, [8]), 262: (3, [1]), 277: (3, [1]), 278: (4, [20])}),
])  # fmt: skip
@pytest.mark.parametrize("rules", [{}, {"stored_side": 8}, {"min_contrast": 1.0}])
def test_cut_picture_with_a_clean_end_is_rejected(image, rules):
    """Without the checks, Pillow or TensorFlow fill the rest with black or grey."""
    outcome = checked(image, DecodeCheck(PictureSettings(**rules)))
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "image_undecodable"


GREY = Image.new("RGB", (40, 40), (128, 128, 128))


@pytest.mark.parametrize("image", [
    png(1.0), png(1.0, interlaced=True),
    encode(photo(), "JPEG") + b"behind the end",
    encode(photo(), "JPEG")[:-2] + b"\x12" * 40 + END,
    encode(photo(), "JPEG", progressive=True) + b"\0" * 9,
    encode(GREY, "JPEG"), encode(GREY, "JPEG", progressive=True), encode(GREY.convert("L"), "JPEG"),
    encode(photo(), "JPEG", restart_marker_blocks=1),
    encode(photo(), "GIF") + b"behind the end", encode(photo(), "GIF", interlace=False),
    encode(photo(), "PNG") + b"behind the end",
])  # fmt: skip
def test_control_whole_picture_with_harmless_oddities_is_kept_byte_for_byte(image):
    outcome = checked(image)
    assert isinstance(outcome, ImageText), outcome
    assert outcome.image == image


def taller(jpeg: bytes, rows: int) -> bytes:
    """The header claims more rows than the scans have."""
    place = next(found for marker in (b"\xff\xc0", b"\xff\xc2") if (found := jpeg.find(marker)) > 0) + 5
    height = int.from_bytes(jpeg[place : place + 2], "big")
    return jpeg[:place] + struct.pack(">H", height + rows) + jpeg[place + 2 :]


def test_no_jpeg_with_restart_markers_lacks_blocks(record_property):
    """A decoder skips data until the next restart marker, and fills the blocks before it with grey."""
    draw, count = np.random.default_rng(0), 0
    for number in range(60):
        mode = ("L", "RGB", "CMYK")[number % 3]
        options = {"restart_marker_blocks": int(draw.integers(1, 6)), "subsampling": int(draw.integers(0, 3))}
        image = encode(photo(48, number).convert(mode), "JPEG", quality=90, **options)
        outcome = checked(image)
        assert isinstance(outcome, ImageText), (number, outcome)
        assert outcome.image == image, number
        scan = image.index(b"\xff\xda") + 20
        place = int(draw.integers(scan, len(image) * 3 // 4))
        marker = image.find(b"\xff", place)
        broken = {
            "cut": image[:place] + END,
            "cut at a marker": image[:marker] + END,
            "taller": taller(image, 40),
        }
        for what, one in broken.items():
            assert isinstance(checked(one), Rejected), (number, what, mode, options)
            count += 1
    record_property("pictures", count)


def test_progressive_jpeg_that_lacks_rows_in_all_scans_is_rejected():
    image = encode(photo(), "JPEG", progressive=True)
    assert isinstance(checked(image), ImageText)
    assert isinstance(checked(taller(image, 40)), Rejected)


def closed_after(image: bytes, image_format: str, place: int) -> bytes:
    ends = {"JPEG": END, "PNG": writers.png_chunk(b"IEND", b""), "GIF": b"\0;", "WEBP": b"", "TIFF": b"", "BMP": b""}
    return image[:place] + ends[image_format]


def resealed(webp: bytes) -> bytes:
    """The lengths in its headers are those of the cut file."""
    lengths = struct.pack("<I", len(webp) - 8), struct.pack("<I", len(webp) - 20)
    return webp[:4] + lengths[0] + webp[8:16] + lengths[1] + webp[20:]


FORMATS = ("JPEG", "JPEG", "progressive", "PNG", "GIF", "WEBP", "TIFF", "BMP")


def test_no_cut_picture_is_stored_with_a_part_missing(record_property):
    """A cut file is rejected, or stored with the pixels of the whole one.

    A progressive JPEG that lacks a part of its last scan may be stored: it has all blocks, and some are coarser.
    """
    draw, outcomes = np.random.default_rng(0), collections.Counter()
    for number in range(480):
        kind = FORMATS[number % len(FORMATS)]
        image_format = "JPEG" if kind == "progressive" else kind
        options = {"quality": int(draw.integers(20, 95)), "subsampling": int(draw.integers(0, 3))}
        if image_format != "JPEG":
            options = {"compression": str(draw.choice(["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"]))}
        image = encode(photo(48, number), image_format, progressive=kind == "progressive", **options)
        broken = closed_after(image, image_format, int(draw.integers(len(image) // 8, len(image) - 40)))
        outcome = checked(resealed(broken) if kind == "WEBP" else broken)
        outcomes[kind, type(outcome).__name__] += 1
        if isinstance(outcome, Rejected):
            continue
        with Image.open(io.BytesIO(image)) as whole:
            difference = np.abs(seen_by_the_model(outcome.image) - np.asarray(whole.convert("RGB")).astype(float))
        assert difference.max() <= 1.01 or (kind == "progressive" and difference.mean() < 6), (number, kind)
    record_property("pictures", 480)
    print(dict(outcomes))
    assert all(outcomes[kind, "Rejected"] >= 40 for kind in FORMATS)
