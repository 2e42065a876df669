"""Boxes are stored as they are, and rows whose box is no part of the picture are dropped by name."""

import json

import numpy as np
import pytest
import tensorflow as tf

from beam.filters.boxes import BoxCheck
from beam.records import ImageText, Rejected
from beam.sources.rows.columns import to_pair
from beam.sources.rows.raw import RawRow
from models.inputs import tfrecords

BOX = (0.25, 0.0, 0.5, 1.0)


def row(boxes=()) -> ImageText:
    return ImageText("k", b"x", "a", "file:3", "t", boxes=boxes)


def test_a_box_is_stored_and_read(tmp_path):
    stored = row(BOX).to_example()
    assert ImageText.from_example(stored, "file:3") == row(BOX)
    assert row(BOX).by_reference().with_image(b"x") == row(BOX)
    found = tfrecords.parse_boxes(tf.constant([stored, row().to_example()])).numpy()
    np.testing.assert_array_equal(found[0], np.float32(BOX))
    assert np.isnan(found[1]).all()
    assert b"boxes" not in row().to_example()  # a row without a box is stored as before


@pytest.mark.parametrize(
    "boxes",
    [(-0.1, 0, 1, 1), (0, 0, 1, 1.01), (0.5, 0, 0.5, 1), (0, 0.6, 1, 0.5), (0, 0, 1, float("nan")), (0, 0, 224, 224)],
)
def test_a_box_outside_the_picture_or_without_area_is_refused_with_its_row(boxes):
    refused = BoxCheck()(row(boxes))
    assert isinstance(refused, Rejected)
    assert (refused.key, refused.position, refused.reason) == ("k", "file:3", "invalid_boxes")
    assert "must be top, left, bottom, right in [0, 1]" in refused.detail
    assert BoxCheck()(row(BOX)) == row(BOX)
    assert BoxCheck()(row()) == row()


def pair(value, renamed) -> ImageText | Rejected:
    columns = {"image": b"x", "caption": "a", "key": "k", "box": value, "boxes": value}
    return to_pair(RawRow("f", 1, columns), renamed, ("caption",), "und", "t")


@pytest.mark.parametrize("value", [list(BOX), BOX, np.float32(BOX), json.dumps(BOX), json.dumps(BOX).encode()])
def test_a_named_column_gives_the_box(value):
    assert pair(value, {"boxes": "box"}).boxes == BOX
    assert pair(value, {}).boxes == ()  # boxes of data sets that mean something else are not read


@pytest.mark.parametrize("value", [[1, 2, 3], "left", {"top": 1}, [[0, 0, 1, 1]], [True, 0, 1, 1], ["0", 0, 1, 1], 7])
def test_other_values_of_a_named_column_are_refused(value):
    refused = pair(value, {"boxes": "box"})
    assert (refused.reason, refused.key) == ("invalid_boxes", "k")
    assert "must be four numbers" in refused.detail


@pytest.mark.parametrize("value", [None, float("nan"), "", " "])
def test_a_missing_value_is_no_box(value):
    assert pair(value, {"boxes": "box"}).boxes == ()
