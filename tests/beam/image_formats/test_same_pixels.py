"""TensorFlow's view of what is stored equals what Pillow shows, upright and on white, or the picture is rejected."""

import collections
import io
import warnings

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps, PngImagePlugin, TiffImagePlugin

from beam.filters.pictures import DecodeCheck, PictureSettings
from beam.records import ImageText, Rejected
from models.inputs import images
from tests.picture_families import FAMILIES

CHECK = DecodeCheck(PictureSettings(min_side=1, quality=0))
WARNINGS = "ignore::UserWarning"


def checked(image: bytes) -> ImageText | Rejected:
    return CHECK(ImageText("key", image, "caption", "place", "source"))


def seen_by_the_model(image: bytes) -> np.ndarray:
    return images._composite_on_white(images.decode(tf.constant(image))).numpy()


def shown_by_pillow(image: bytes) -> np.ndarray | None:
    """float [H, W, 3], computed apart from the product; None if Pillow cannot say what the picture looks like."""
    with Image.open(io.BytesIO(image)) as opened:
        tags = dict(opened.tag_v2) if isinstance(opened, TiffImagePlugin.TiffImageFile) else {}
        opened.load()
        try:
            picture = ImageOps.exif_transpose(opened)
        except Exception:  # broken metadata
            picture = opened
        mode, deep = picture.mode, np.asarray(picture).astype(np.float64)
        if mode == "F" and (tags.get(262) == 1 or opened.format == "PPM"):
            scaled = deep * 255
        elif mode.startswith("I;16") and tags.get(262) in (None, 1):
            scaled = deep * 255 / (2 ** tags.get(258, (16,))[0] - 1)
        elif mode == "I" and opened.format == "PPM":
            scaled = deep * 255 / 65535
        elif mode in ("I", "F") or mode.startswith("I;16"):
            return None
        else:
            coloured = np.asarray(picture.convert("RGBA")).astype(np.float64)
            alpha = coloured[..., 3:] / 255
            return coloured[..., :3] * alpha + 255 * (1 - alpha)
        return np.repeat(scaled[..., None], 3, axis=-1) if ((scaled >= 0) & (scaled <= 255)).all() else None


def compare(seed: int, count: int) -> dict[str, collections.Counter]:
    """Outcomes of `count` pictures by family; fails for a stored picture that the model sees otherwise."""
    draw = np.random.default_rng(seed)
    outcomes: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    families = list(FAMILIES)
    for number in range(count):
        family = families[number % len(families)]
        what, image = FAMILIES[family](draw)
        outcome = checked(image)
        if isinstance(outcome, Rejected):
            outcomes[family][outcome.reason] += 1
            continue
        outcomes[family]["kept" if outcome.image == image else "encoded anew"] += 1
        expected, found = shown_by_pillow(image), seen_by_the_model(outcome.image)
        assert expected is not None, f"{seed} {number}: {what} is stored, but its look is unknown"
        assert found.shape == expected.shape, f"{seed} {number}: {what}"
        assert np.abs(found - expected).max() <= 1.01, f"{seed} {number}: {what}: {np.abs(found - expected).max()}"
    return outcomes


def require_each_outcome(outcomes: dict[str, collections.Counter]) -> None:
    for family in ("jpeg", "raw_jpeg", "mpo", "png", "saved_png", "gif", "saved_gif"):
        assert outcomes[family]["kept"], family
    for family in ("jpeg", "png", "gif", "bmp", "webp", "saved_tiff", "tiff", "ppm", "pfm"):
        assert outcomes[family]["encoded anew"], family
    for family in ("png", "tiff", "pfm"):
        assert outcomes[family]["image_unclear"], family


@pytest.mark.filterwarnings(WARNINGS)
def test_model_sees_what_pillow_shows(record_property):
    outcomes = compare(seed=1, count=1000)
    record_property("pictures", 1000)
    require_each_outcome(outcomes)


@pytest.mark.slow
@pytest.mark.filterwarnings(WARNINGS)
def test_model_sees_what_pillow_shows_in_ten_thousand_pictures(record_property):
    outcomes = compare(seed=2, count=10_000)
    record_property("pictures", 10_000)
    for family, counts in outcomes.items():
        print(f"{family:12} {dict(counts)}")
    require_each_outcome(outcomes)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name, counts in compare(seed=2, count=10_000).items():
        print(f"{name:12} {dict(counts)}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Raw profile type exif", "\nexif\n 26\n4d4d002a00000008\n000101120003000000010006\n000000000000\n"),
        ("XML:com.adobe.xmp", '<rdf:Description tiff:Orientation="6"/>'),
    ],
    ids=["exif", "xmp"],
)
def test_png_that_names_its_orientation_in_text_is_turned(name, text):
    """ImageMagick writes EXIF as text into PNG; Pillow and viewers turn the picture."""
    notes = PngImagePlugin.PngInfo()
    notes.add_text(name, text)
    image = io.BytesIO()
    Image.linear_gradient("L").resize((20, 30)).save(image, "PNG", pnginfo=notes)
    outcome = checked(image.getvalue())
    assert isinstance(outcome, ImageText), outcome
    expected, found = shown_by_pillow(image.getvalue()), seen_by_the_model(outcome.image)
    assert found.shape == (20, 30, 3)
    assert np.abs(found - expected).max() <= 1.01
