"""Rows with several right classes, from columns to bytes."""

import json

import pytest

from beam.records import ImageText, Rejected
from beam.sources.rows.classes import ClassNames
from beam.sources.rows.columns import to_pair
from beam.sources.rows.raw import RawRow


def pair(columns: dict, names: str | tuple[str, ...] = (), renamed: dict | None = None) -> ImageText | Rejected:
    row = RawRow("f", 1, {"image": b"x", "caption": "a", **columns})
    return to_pair(row, renamed or {}, ("caption",), "und", "t", classes=ClassNames("JsonlSource.class_names", names))


@pytest.mark.parametrize(
    ("value", "names"),
    [(["cat", "pet"], ("cat", "pet")), ('["cat", "pet"]', ("cat", "pet")), (["pet", "pet"], ("pet",)),
     ("cat", ("cat",)), ([1, 0.0, "2"], ("dog", "cat", "pet")), ([b"cat"], ("cat",)), (["cat"], ("cat",))],
)  # fmt: skip
def test_a_list_column_has_all_right_classes(value, names):
    got = pair({"class_names": value}, ("cat", "dog", "pet"))
    assert (got.class_name, got.class_names, got.classes) == (names[0], names, names)
    assert ImageText.from_example(got.to_example(), got.position) == got


@pytest.mark.parametrize("value", [[], None, "", "[]"])
def test_a_row_with_an_empty_list_has_no_class(value):
    got = pair({"class_names": value})
    assert (got.class_name, got.class_names, got.classes) == ("", (), ())


def test_one_class_keeps_its_bytes():
    got = pair({"class_name": "cat"})
    assert (got.class_names, got.classes) == ((), ("cat",))
    assert b"class_names" not in got.to_example()
    assert b"class_names" in pair({"class_names": ["cat"]}).to_example()  # control
    listed = pair({"class_name": "pet", "class_names": ["cat", "pet"]})
    assert (listed.class_name, listed.class_names) == ("pet", ("pet", "cat"))


def test_a_number_may_stand_for_several_classes_and_numbers_may_share_one(tmp_path):
    """As ObjectNet's labels, of which some are several classes of ImageNet, and some none."""
    file = tmp_path / "objectnet.json"
    file.write_text(json.dumps({"0": ["folding chair", "rocking chair"], "1": "mug", "2": [], "7": "mug"}))
    assert pair({"class_name": 0}, str(file)).classes == ("folding chair", "rocking chair")
    assert pair({"class_name": 0}, str(file)).class_names == ("folding chair", "rocking chair")
    assert pair({"class_name": 1}, str(file)).classes == pair({"class_name": 7}, str(file)).classes == ("mug",)
    assert pair({"class_name": 2}, str(file)).classes == ()
    assert pair({"label": [0, 1]}, str(file), {"class_names": "label"}).classes == (
        "folding chair", "rocking chair", "mug",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "reason", "detail"),
    [
        ({"class_names": ["cat", ""]}, "invalid_field", r"class_names[1] is '', but must be a class; remove it"),
        ({"class_names": [True]}, "invalid_field", "class_names[0] is True, but must be text or a whole number"),
        ({"class_names": "[1"}, "invalid_field", "class_names is '[1', but must be a JSON list"),
        ({"class_names": [5]}, "unknown_class", "has 1 names, for the classes 0 to 0"),
        (
            {"class_name": "dog", "class_names": ["cat"]},
            "invalid_field",
            "class_name is 'dog', but must be one of class_names: cat; correct either",
        ),
    ],
)
def test_bad_classes_are_rejected_by_their_value(columns, reason, detail):
    rejected = pair(columns, ("cat",))
    assert (rejected.reason, detail in rejected.detail) == (reason, True), rejected
