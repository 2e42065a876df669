"""Values of columns: whole numbers, names of classes, pictures in base64, wrong names; and folders as paths."""

import base64
import decimal
import json
import os
import tracemalloc

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from beam.records import ImageText, Rejected, cut
from beam.sources import TfdsSource, UrlListSource
from beam.sources.delimited.source import CsvSource
from beam.sources.jsonl import JsonlSource
from beam.sources.parquet.source import ParquetSource
from beam.sources.rows import classes
from beam.sources.rows.classes import ClassNames
from beam.sources.rows.columns import to_pair
from beam.sources.rows.raw import RawRow, shown
from beam.sources.tfrecord.source import TfrecordSource
from beam.sources.webdataset.source import WebDatasetSource
from tests.beam.sources.mutated_files import outcomes
from tests.beam.sources.test_sources import read
from tests.pictures import encode


def pair(columns: dict, names: str | tuple[str, ...] = ()) -> ImageText | Rejected:
    row = {"image": b"x", "caption": "a", **columns}
    return to_pair(
        RawRow("f", 1, row), {}, ("caption",), "und", "t", classes=ClassNames("JsonlSource.class_names", names)
    )


@pytest.mark.parametrize("field", ["key", "class_name", "category", "group", "language"])
@pytest.mark.parametrize(("value", "text"), [
    (391895, "391895"), (0, "0"), (-1, "-1"), (391895.0, "391895"), (np.int64(7), "7"), (np.uint8(7), "7"),
    (decimal.Decimal("7.00"), "7"), (1 << 80, str(1 << 80)), ("007", "007"), (b"x", "x"),
])  # fmt: skip
def test_whole_number_is_its_decimal_text(field, value, text):
    assert getattr(pair({field: value}), field) == text


@pytest.mark.parametrize("value", [True, False, 1.5, 1e300, [1], {"a": 1}, np.bool_(True), decimal.Decimal("1.5")])
def test_other_values_than_texts_and_whole_numbers_are_rejected(value):
    rejected = pair({"category": value})
    assert rejected.reason == "invalid_field"
    assert "category is" in rejected.detail


@pytest.mark.parametrize("value", [None, float("nan"), np.nan, decimal.Decimal("nan"), ""])
def test_missing_value_is_no_text(value):
    assert pair({"category": value}).category == ""


def test_class_number_becomes_its_name(tmp_path):
    assert pair({"class_name": 1}, ("cat", "dog")).class_name == "dog"
    assert pair({"class_name": "0"}, ("cat", "dog")).class_name == "cat"
    assert pair({"class_name": "bird"}, ("cat", "dog")).class_name == "bird"
    assert pair({}, ("cat", "dog")).class_name == ""
    (tmp_path / "names.json").write_text('["cat", "dog"]')
    assert pair({"class_name": 1.0}, str(tmp_path / "names.json")).class_name == "dog"
    (tmp_path / "coco.json").write_text('{"1": "person", "90": "toothbrush"}')
    assert pair({"class_name": 90}, str(tmp_path / "coco.json")).class_name == "toothbrush"
    for number in (2, -1, "-1"):
        rejected = pair({"class_name": number}, ("cat", "dog"))
        assert rejected.reason == "unknown_class"
        assert (
            f"the class is {number}, but JsonlSource.class_names has 2 names, for the classes 0 to 1" in rejected.detail
        )


def test_class_names_of_parquet_are_read_from_gin_and_from_json(tmp_path):
    parquet.write_table(
        pyarrow.table({"image": [b"x", b"y"], "caption": ["a", "b"], "label": [1, 5]}), tmp_path / "a.parquet"
    )
    (tmp_path / "names.json").write_text(json.dumps(["cat", "dog"]))
    for names in (("cat", "dog"), str(tmp_path / "names.json")):
        source = ParquetSource(str(tmp_path / "a.parquet"), {"class_name": "label"}, class_names=names)
        (kept,), (rejected,) = read(source)
        assert kept.class_name == "dog"
        assert "ParquetSource.class_names has 2 names" in rejected.detail
    before = source.fingerprint()
    (tmp_path / "names.json").write_text(json.dumps(["cat", "wolf"]))
    classes.load.cache_clear()
    assert source.fingerprint() != before


@pytest.mark.parametrize("content", ["{", "[]", "7", '["a", ""]', '{"a": "b"}', '[["a"]]', "[" * 5000, "\xff"])
def test_file_that_holds_no_names_is_reported(tmp_path, content):
    (tmp_path / "names.json").write_bytes(content.encode("latin-1"))
    (tmp_path / "a.jsonl").write_text("{}")
    with pytest.raises(ValueError, match=r"JsonlSource.class_names is '.*names.json', but must be a list of names, or"):
        JsonlSource(str(tmp_path / "a.jsonl"), class_names=str(tmp_path / "names.json")).inputs()


def test_base64_in_the_place_of_a_path_is_a_picture():
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"):
        image = encode(Image.fromarray(picture), kind)
        text = base64.b64encode(image).decode()
        values = (text, text.encode(), f"data:image/{kind.lower()};base64,{text}", f"data:;base64,{text}")
        for value in values:
            assert pair({"image": value}).image == image
            assert pair({"image_base64": value}).image == image


@pytest.mark.parametrize(
    "value",
    ["x" * 5_000_000, "data:image/png;base64,?" + "x" * 5_000_000, "data:image/png,x", "iVBORw0KGgo" + "A" * 5_000_001],
)
def test_text_that_is_no_path_and_no_base64_is_rejected_in_few_words(value):
    rejected = pair({"image": value})
    assert isinstance(rejected, Rejected) or rejected.image
    if isinstance(rejected, Rejected):
        assert rejected.reason == ("image_missing" if value.startswith("x") else "invalid_base64")
        assert len(rejected.detail) < 600


def test_rejects_never_repeat_large_values():
    large = "x" * 1_000_000
    for columns in ({"key": large}, {"caption": [large, 7]}, {"caption": {large: 1}}, {"image": [large]},
                    {"image": large + "?"}, {large: 1, "image": None}, {"category": {"a": large}},
                    {"image_base64": large + "?"}):  # fmt: skip
        rejected = pair(columns)
        assert len(rejected.detail) < 600, columns.keys()
    long = Rejected(large, large + ":7", "r", large + "but must be text")
    assert len(long.key) < 300
    assert long.position.endswith(":7")
    assert long.detail.endswith("but must be text")
    assert cut("short", 10) == "short"


def test_reject_of_wrong_columns_lists_the_columns_that_are_there(tmp_path):
    parquet.write_table(pyarrow.table({"url": ["x"], "TEXT": ["a"], "hash": [1]}), tmp_path / "a.parquet")
    _, (rejected,) = read(ParquetSource(str(tmp_path / "a.parquet")))
    assert rejected.reason == "invalid_columns"
    assert "the file has 'url', 'TEXT', 'hash', but must have image or image_base64" in rejected.detail
    assert "set ParquetSource.columns = {'image': NAME}" in rejected.detail
    _, (rejected,) = read(ParquetSource(str(tmp_path / "a.parquet"), {"image": "url"}))
    assert "set ParquetSource.captions = (NAME,)" in rejected.detail
    (tmp_path / "a.jsonl").write_text('{"url": "x", "TEXT": "a", "empty": null, "caption": "b"}\n')
    _, (rejected,) = read(JsonlSource(str(tmp_path / "a.jsonl")))
    assert "it has 'url', 'TEXT', 'caption' (and without a value: 'empty')" in rejected.detail


def test_columns_of_one_name_are_rejected(tmp_path):
    table = pyarrow.table([[b"x"], ["a"], ["b"]], names=["image", "caption", "caption"])
    parquet.write_table(table, tmp_path / "a.parquet")
    (rejected,) = [one for _, one, _ in outcomes(ParquetSource(str(tmp_path / "a.parquet")))]
    assert "caption occurs twice" in rejected.detail


@pytest.mark.parametrize("kind", [JsonlSource, CsvSource, ParquetSource, WebDatasetSource, TfrecordSource])
def test_folder_as_path_is_reported(tmp_path, kind):
    (tmp_path / "rows" / "inner").mkdir(parents=True)
    os.mkfifo(tmp_path / "rows" / "fifo")
    with pytest.raises(
        ValueError, match=r"path is '.*rows', but that is a folder, and must be a file or a pattern, such as"
    ):
        kind(str(tmp_path / "rows")).fingerprint()
    with pytest.raises(ValueError, match="but it matches only folders, FIFOs or devices, such as"):
        kind(str(tmp_path / "rows" / "*")).inputs()
    (tmp_path / "rows" / "file").write_bytes(b"")
    assert kind(str(tmp_path / "rows" / "*")).inputs() == [str(tmp_path / "rows" / "file")]


def test_folder_or_file_of_other_sources_is_reported(tmp_path):
    with pytest.raises(ValueError, match=r"CsvSource.path is '.*', but that is a folder"):
        UrlListSource(CsvSource(str(tmp_path))).fingerprint()
    (tmp_path / "dataset_info.json").write_text("{")
    with pytest.raises(ValueError, match=r"TfdsSource.path is '.*', but there is no such data set"):
        TfdsSource(str(tmp_path)).fingerprint()


@pytest.mark.parametrize(("text", "name"), [("1.0", "dog"), ("0.00", "cat"), ("1.5", "1.5"), ("1.", "1."), ("-", "-")])
def test_class_number_as_pandas_writes_it_into_csv_becomes_its_name(text, name):
    assert pair({"class_name": text}, ("cat", "dog")).class_name == name


@pytest.mark.parametrize("value", [1, True, [], {}, ["aGk="]], ids=repr)
def test_base64_that_is_no_text_is_rejected_by_its_value(value):
    rejected = to_pair(RawRow("f", 1, {"image_base64": value, "caption": "a"}), {}, ("caption",), "und", "t")
    assert (rejected.reason, f"image_base64 is {value!r}" in rejected.detail) == ("invalid_base64", True)


@pytest.mark.parametrize("value", [["x" * 10**8], [{"bytes": b"x" * 10**8}], {"a": {"b": [b"x" * 10**8]}}], ids=type)
def test_large_value_inside_of_a_list_is_cut_before_it_is_quoted(value):
    tracemalloc.start()
    text = shown(value)
    assert len(text) < 500
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
