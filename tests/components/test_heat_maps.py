"""The report's heat maps: right and wrong rows with a box, the heat where it is, and the box around its place."""

import base64
import io
import types

import matplotlib.axes
import numpy as np
import pytest
from PIL import Image

from beam.records import ImageText
from components.run_report import figures, heat_maps
from tests.beam import stored
from tests.pictures import encode

WHITE = encode(Image.new("RGB", (48, 48), "white"))
BOX = (0.0, 0.0, 0.5, 0.5)


def pixels(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))), np.int32)


def test_the_hottest_place_has_the_dot_and_the_strongest_colour_and_the_box_its_frame():
    heat = np.zeros([4, 4])
    heat[2, 1] = 1.0
    drawn = pixels(heat_maps.drawn(WHITE, heat, BOX))
    assert (drawn[140, 84] == 255).all()  # the dot, in the middle of the third row and second column
    assert (drawn[140, 96] < 250).any()  # colour beside it
    assert (drawn[30, 200] == 255).all()  # no colour where it is cold
    assert drawn[0, 50].tolist() == drawn[50, 0].tolist() == [0x24, 0x57, 0xA6]
    flat = pixels(heat_maps.drawn(WHITE, np.ones([4, 4])))
    assert (flat[100, 100] == 255).all()


class Points:
    """A model whose rows with an even number point into their box."""

    signatures = ("evaluate", "localize")

    def call(self, signature, **inputs):
        if signature == "localize":
            return {"heat": np.ones([len(inputs["text"]), 2, 2])}
        keys = [ImageText.from_example(one, "x").key for one in inputs["examples"].numpy()]
        return {"pointed": np.float32([int(key) % 2 == 0 for key in keys])}


@pytest.fixture(scope="module")
def split(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("rows")
    wide = encode(Image.new("RGB", (60, 48), "white"))
    rows = [ImageText(f"{i}", WHITE, f"caption {i}", "x:1", "t", boxes=BOX if i < 20 else ()) for i in range(40)]
    rows += [ImageText(f"{i}", wide, f"wide {i}", "x:1", "t", boxes=BOX) for i in range(40, 50)]
    stored.write(folder, rows)
    return str(folder / "Split-train")


def test_half_of_the_rows_are_right_and_half_wrong(split):
    found = heat_maps.of_splits(Points(), [split], 6, -1)
    assert [one.right for one in found] == [True] * 3 + [False] * 3
    numbers = [int(one.text.split()[1]) for one in found]
    assert all(one.text.startswith("caption") and number < 20 for one, number in zip(found, numbers, strict=True))
    assert [number % 2 == 0 for number in numbers] == [one.right for one in found]


def test_a_model_without_localize_has_none(split):
    blind = types.SimpleNamespace(signatures=("evaluate",))
    assert heat_maps.of_splits(blind, [split], 6, -1) == []


def test_both_modalities_lie_on_the_first_two_principal_axes(monkeypatch):
    """The first axis is the one along which two clusters differ."""
    places, draw = [], matplotlib.axes.Axes.scatter

    def scatter(self, x, y, **how):
        places.append((np.asarray(x), np.asarray(y)))
        return draw(self, x, y, **how)

    monkeypatch.setattr(matplotlib.axes.Axes, "scatter", scatter)
    generator = np.random.default_rng(0)
    image, text = generator.normal(0, 0.1, [2, 50, 8])
    text = text + 3 * np.eye(8)[5]
    assert figures.modalities(image, text).startswith("data:image/png;base64,")
    (image_x, _), (text_x, _) = places
    assert abs(image_x.mean() - text_x.mean()) == pytest.approx(3, abs=0.1)
    assert max(image_x.std(), text_x.std()) < 0.2
    assert figures.modalities(image * np.nan, text) == ""
