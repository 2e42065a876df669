"""A record beyond a limit is one reject that names the limit, and reading goes on."""

import gzip
import io
import json
import pathlib
import tracemalloc

import pyarrow
import pytest
import tensorflow as tf
from pyarrow import parquet

from beam.records import ImageText, Rejected
from beam.sources.delimited.source import CsvSource
from beam.sources.jsonl import JsonlSource
from beam.sources.limits import Limits
from beam.sources.parquet.source import ParquetSource
from beam.sources.rows.columns import to_pair
from beam.sources.rows.source import RowSource, _decode, _raw_rows, _splits
from beam.sources.tfrecord.source import TfrecordSource
from tests.beam.sources.mutated_files import framed


def outcomes(source: RowSource) -> list[ImageText | Rejected]:
    rows = [_decode(row, source) for split in _splits(source.path, source) for row in _raw_rows(split, source)]
    return [to_pair(row, source.columns, source.captions, "und", "t", source.limits) for row in rows]


def reasons(source: RowSource) -> list[str]:
    return [one.reason if isinstance(one, Rejected) else "kept" for one in outcomes(source)]


def example(**features: list[bytes]) -> bytes:
    made = {name: tf.train.Feature(bytes_list=tf.train.BytesList(value=values)) for name, values in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=made)).SerializeToString()


GOOD = {"image_base64": "eA==", "caption": "a"}


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_long_line_of_json_lines_takes_bounded_memory(tmp_path, compress):
    good = json.dumps(GOOD).encode()
    (tmp_path / "a.jsonl").write_bytes(compress(good + b"\n" + b" " * 50_000_000 + b"\n" + good + b"\n"))
    source = JsonlSource(str(tmp_path / "a.jsonl"), limits=Limits(line_bytes=100_000, expansion=10_000))
    tracemalloc.start()
    found = outcomes(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [getattr(one, "reason", "kept") for one in found] == ["kept", "line_too_large", "kept"]
    assert "50000001 bytes, but may have at most 100000 (Limits.line_bytes)" in found[1].detail
    assert found[1].position.endswith("a.jsonl:2")
    assert peak < 10_000_000


def test_long_line_of_csv_takes_bounded_memory(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"image_base64,caption\neA==,a\n" + b"x" * 50_000_000 + b"\neA==,b")
    tracemalloc.start()
    found = outcomes(CsvSource(str(tmp_path / "a.csv"), limits=Limits(line_bytes=100_000)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [getattr(one, "reason", "kept") for one in found] == ["kept", "line_too_large", "kept"]
    assert peak < 10_000_000


@pytest.mark.parametrize(("line", "reason", "detail"), [
    (b'{"caption": "a", "x": [' + b"0," * 2000 + b"0]}", "too_many_values", "may have 1000 (Limits.values)"),
    (b'{"caption": "a", "x": ' + b"[" * 2000 + b"]" * 2000 + b"}", "too_many_values", "(Limits.values)"),
    (b'{"caption": "' + b"a, " * 2000 + b'", "image_base64": "eA=="}', "kept", ""),
    (b'{"caption": "a", "key": ' + b"9" * 5000 + b"}", "invalid_json", "limit"),
    (b'{"caption": "a", "caption": "b", "image_base64": "eA=="}', "invalid_json", "'caption' occurs twice"),
    (b'{"caption": "a", "image_base64": "eA=="} {"caption": "b"}', "invalid_json", "write one JSON object"),
    (b'[{"caption": "a"}, {"caption": "b"}]', "invalid_json", "the line must be a JSON object, not list"),
    (b'{"caption": "a", "key": "' + b"k" * 5000 + b'"}', "field_too_large", "but may have at most 4096 bytes"),
    (b'{"captions": [' + b'"a",' * 90 + b'"b"], "image_base64": "eA=="}', "too_many_captions", "(Limits.captions)"),
    (b'{"caption": "a", "image_base64": "eA==", "score": NaN}', "kept", ""),
])  # fmt: skip
def test_json_line_beyond_a_limit_is_rejected(tmp_path, line, reason, detail):
    (tmp_path / "a.jsonl").write_bytes(line + b"\n" + json.dumps(GOOD).encode())
    found = outcomes(JsonlSource(str(tmp_path / "a.jsonl"), limits=Limits(values=1000, captions=50)))
    assert [getattr(one, "reason", "kept") for one in found] == [reason, "kept"]
    assert detail in getattr(found[0], "detail", "")


def test_every_line_of_indented_json_is_rejected(tmp_path):
    text = json.dumps([{"x": 1, "y": [2]}] * 3, indent=1)
    (tmp_path / "a.jsonl").write_text(text)
    found = reasons(JsonlSource(str(tmp_path / "a.jsonl")))
    assert found == ["invalid_json"] * len(text.splitlines())


def test_json_lines_in_utf_16_are_one_reject(tmp_path):
    (tmp_path / "a.jsonl").write_bytes((json.dumps(GOOD) + "\n").encode("utf-16") * 3)
    assert reasons(JsonlSource(str(tmp_path / "a.jsonl"))) == ["invalid_utf8"]


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("length", [1 << 31, 1 << 40, 1 << 63, (1 << 64) - 1])
def test_tfrecord_that_announces_a_huge_length_is_rejected(tmp_path, length, compress):
    good = framed(example(image=[b"x"], caption=[b"a"]))
    (tmp_path / "a.tfrecord").write_bytes(compress(good + framed(b"x", length) + good))
    assert reasons(TfrecordSource(str(tmp_path / "a.tfrecord"))) == ["kept", "damaged_file"]


def test_tfrecord_record_beyond_the_limit_costs_itself_alone(tmp_path):
    good, large = (framed(example(image=[b"x" * size], caption=[b"a"])) for size in (1, 5000))
    wrong = bytearray(good)
    wrong[15] ^= 1
    (tmp_path / "a.tfrecord").write_bytes(good + large + wrong + good + b"rest")
    found = outcomes(TfrecordSource(str(tmp_path / "a.tfrecord"), limits=Limits(row_bytes=1000)))
    assert [getattr(one, "reason", "kept") for one in found] == [
        "kept", "row_too_large", "damaged_record", "kept", "damaged_file"
    ]  # fmt: skip
    assert "the file ends in a record" in found[-1].detail


def test_example_of_many_empty_values_is_rejected_before_it_is_parsed(tmp_path):
    many = framed(example(image=[b"x"], caption=[b"a"], other=[b""] * 20_000))
    numbers = tf.train.Feature(int64_list=tf.train.Int64List(value=[1] * 20_000))
    features = tf.train.Features(feature={f"f{n}": tf.train.Feature() for n in range(5000)} | {"n": numbers})
    also = framed(tf.train.Example(features=features).SerializeToString())
    large = framed(example(image=[b"x" * 50_000], caption=[b"a"]))
    (tmp_path / "a.tfrecord").write_bytes(many + also + large)
    source = TfrecordSource(str(tmp_path / "a.tfrecord"), limits=Limits(values=2000))
    assert reasons(source) == ["too_many_values", "too_many_values", "kept"]


def write_table(path: pathlib.Path, columns: dict, **options: object) -> None:
    parquet.write_table(pyarrow.table(columns), path, **options)


@pytest.mark.parametrize("limits", [{"page_bytes": 10_000}, {"footer_bytes": 100}, {"row_bytes": 10_000}])
def test_parquet_beyond_a_limit_is_rejected(tmp_path, limits):
    write_table(tmp_path / "a.parquet", {"image": [b"x", b"\0" * 100_000], "caption": ["a", "b"]}, compression="zstd")
    found = outcomes(ParquetSource(str(tmp_path / "a.parquet"), limits=Limits(**limits)))
    kept = 1 if "row_bytes" in limits else 0
    assert [getattr(one, "reason", "kept") for one in found[:kept]] == ["kept"] * kept
    assert len(found) == kept + 1
    assert f"(Limits.{next(iter(limits))})" in found[-1].detail


def test_parquet_of_far_more_rows_than_bytes_is_rejected(tmp_path):
    nothing = pyarrow.nulls(2_000_000, pyarrow.binary())
    table = {"image": nothing, "caption": nothing.cast(pyarrow.string())}
    write_table(tmp_path / "a.parquet", table, row_group_size=2_000_000)
    (rejected,) = outcomes(ParquetSource(str(tmp_path / "a.parquet"), limits=Limits(expansion=10)))
    assert rejected.reason == "too_expanded"
    assert "2000000 rows" in rejected.detail
    repeated = pyarrow.DictionaryArray.from_arrays([0] * 2000, [b"x" * 100_000])
    write_table(tmp_path / "a.parquet", {"image": repeated, "caption": ["a"] * 2000}, compression="zstd")
    found = outcomes(ParquetSource(str(tmp_path / "a.parquet"), limits=Limits(expansion=10, line_bytes=10_000_000)))
    assert found[-1].reason == "too_expanded"
    assert len(found) < 200


def test_bad_string_in_the_schema_of_parquet_is_reported(tmp_path):
    stream = io.BytesIO()
    parquet.write_table(pyarrow.table({"image": [b"x"], "caption": ["a"], "other": [1]}), stream)
    (tmp_path / "a.parquet").write_bytes(stream.getvalue().replace(b"other", b"\xff\xfe\xfd\xfc\xfb"))
    assert reasons(ParquetSource(str(tmp_path / "a.parquet"))) == ["damaged_file"]


def test_extension_type_that_pyarrow_refuses_is_reported(tmp_path):
    """The type of the column is not the one that the stored schema announces."""
    stored = pyarrow.schema([("image", pyarrow.string()), ("caption", pyarrow.string())])
    metadata = {"ARROW:extension:name": "arrow.fixed_shape_tensor", "ARROW:extension:metadata": "{"}
    field = pyarrow.field("image", pyarrow.binary(), metadata=metadata)
    table = pyarrow.table([[b"x"], ["a"]], pyarrow.schema([field, stored.field("caption")]))
    parquet.write_table(table, tmp_path / "a.parquet")
    assert len(reasons(ParquetSource(str(tmp_path / "a.parquet")))) == 1


@pytest.mark.parametrize(
    "error", [RuntimeError("refused"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), KeyError(1)]
)
def test_any_error_of_a_reader_is_a_damaged_file(tmp_path, monkeypatch, error):
    def broken(*_: object, **__: object) -> None:
        raise error

    write_table(tmp_path / "a.parquet", {"image": [b"x"], "caption": ["a"]})
    monkeypatch.setattr(parquet, "ParquetFile", broken)
    (rejected,) = outcomes(ParquetSource(str(tmp_path / "a.parquet")))
    assert rejected.reason == "damaged_file"
    assert type(error).__name__ in rejected.detail


def test_fault_of_the_machine_stops_the_run_and_names_the_file(tmp_path, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    write_table(tmp_path / "a.parquet", {"image": [b"x"], "caption": ["a"]})
    monkeypatch.setattr(parquet, "ParquetFile", broken)
    with pytest.raises(OSError, match=r"a.parquet cannot be read \(Input/output error\); mend the disk"):
        outcomes(ParquetSource(str(tmp_path / "a.parquet")))
