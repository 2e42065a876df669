"""Every frame, page and tile is held against max_pixels before anything is decoded; only the first frame is stored."""

import io
import struct
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from beam.filters.pictures import DecodeCheck, PictureSettings
from beam.records import ImageText, Rejected
from tests import picture_writers as writers
from tests.beam.image_formats.test_same_pixels import seen_by_the_model
from tests.pictures import encode

CHECK = DecodeCheck(PictureSettings(max_pixels=10_000))
SIDE = 20_000


def checked(image: bytes) -> ImageText | Rejected:
    return CHECK(ImageText("key", image, "caption", "place", "source"))


def gif(second: tuple[int, int, int, int], screen: tuple[int, int] = (32, 32)) -> bytes:
    draw = np.random.default_rng(0)
    huge = b"," + struct.pack("<HHHHB", *second, 0) + b"\2\1\5\0"
    return writers.gif(draw, screen, [writers.gif_frame(draw, (0, 0, 32, 32)), huge])


def webp(canvas: int, frame: int) -> bytes:
    def three(number: int) -> bytes:
        return number.to_bytes(3, "little")

    picture = encode(Image.new("RGB", (32, 32), "red"), "WEBP")[12:]
    content = three(0) * 2 + three(frame - 1) * 2 + three(100) + b"\0" + picture
    chunks = b"VP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + three(canvas - 1) * 2
    chunks += b"ANIM" + struct.pack("<I", 6) + b"\0" * 6 + b"ANMF" + struct.pack("<I", len(content)) + content
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def apng(width: int) -> bytes:
    control = [writers.png_chunk(b"acTL", struct.pack(">II", 2, 0))]
    for number, side in ((0, 32), (1, width)):
        control.append(writers.png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, side, side, 0, 0, 1, 10, 0, 0)))
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3))
    return writers.png(pixels, before=b"".join(control[:2]), after=control[2])


def tiff(second: int) -> bytes:
    stream = io.BytesIO()
    pages = [Image.new("L", (32, 32), 90), Image.new("L", (second, 1))]
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    return stream.getvalue()


def tile(side: int) -> bytes:
    tags = {
        258: (3, [8]),
        262: (3, [1]),
        277: (3, [1]),
        322: (4, [side]),
        323: (4, [side]),
        324: (4, [8]),
        325: (4, [9]),
    }
    return writers.tiff(32, 32, b"\0" * 1024, tags | {259: (3, [8])})


def mpo(second: int) -> bytes:
    return encode(
        Image.new("RGB", (32, 32), "red"), "MPO", save_all=True, append_images=[Image.new("RGB", (second, 32))]
    )


KINDS = ["gif", "gif offset", "gif screen", "webp canvas", "webp frame", "apng", "tiff", "tiff tile", "mpo"]


@pytest.mark.parametrize("image", [
    gif((0, 0, SIDE, SIDE)), gif((SIDE, SIDE, 1, 1)), gif((0, 0, 32, 32), (SIDE, SIDE)),
    webp(SIDE - 4000, 32), webp(32, SIDE - 4000), apng(SIDE), tiff(10_001), tile(SIDE), mpo(400),
], ids=KINDS)  # fmt: skip
def test_frame_beyond_the_limit_is_rejected_before_decoding(image):
    tracemalloc.start()
    outcome = checked(image)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(outcome, Rejected), outcome
    assert outcome.reason == "image_too_large"
    assert most < 10_000_000


@pytest.mark.parametrize("image", [gif((0, 0, 32, 32)), gif((20, 20, 12, 12)), webp(32, 32), apng(32), tiff(40)])
def test_control_animation_within_the_limit_is_stored_as_its_first_frame(image):
    outcome = checked(image)
    assert isinstance(outcome, ImageText), outcome
    with Image.open(io.BytesIO(image)) as opened, Image.open(io.BytesIO(outcome.image)) as stored:
        assert getattr(stored, "n_frames", 1) == 1
        assert np.abs(seen_by_the_model(outcome.image) - np.asarray(opened.convert("RGB"))).max() <= 3


def test_png_that_training_cannot_decode_is_rejected():
    """libpng reads no side above 1,000,000; Pillow reads and writes it."""
    picture = encode(Image.new("1", (1_000_001, 16)), "PNG")
    outcome = DecodeCheck(PictureSettings())(ImageText("key", picture, "caption", "place", "source"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "image_too_large"
    assert "TensorFlow decodes no picture of 1000001 x 16" in outcome.detail


def test_pages_of_a_tiff_that_point_at_each_other_end(record_property):
    """Directories that overlap, point back or name more entries than the file has bytes."""
    draw, good = np.random.default_rng(0), tiff(40)
    for _ in range(300):
        broken = bytearray(good)
        for _ in range(int(draw.integers(1, 6))):
            broken[int(draw.integers(4, len(broken)))] = int(draw.integers(256))
        checked(bytes(broken))
    looped = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + b"\0" * 12 + struct.pack("<I", 8)
    assert isinstance(checked(looped), Rejected)
    record_property("pictures", 300)
