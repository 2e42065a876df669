"""Parquet: texts that are not UTF-8, row groups without rows, and rows with very many values."""

import pathlib
import random

import pyarrow
import pytest
from pyarrow import parquet

from beam.filters.captions import CaptionCheck
from beam.records import ImageText
from beam.sources import ParquetSource
from beam.sources.limits import Limits
from tests import memory
from tests.beam.sources.outcomes import PICTURE, all_of, captions, reasons, watchdog


def _outcomes(folder: pathlib.Path, columns: dict, limits: Limits = Limits(), **how: object) -> list:
    path = folder / "a.parquet"
    parquet.write_table(pyarrow.table(columns), path, **how)
    return all_of(ParquetSource(path=str(path), captions=("caption", "captions"), limits=limits), path)


def _broken(*texts: bytes) -> pyarrow.Array:
    """A column of texts whose bytes may not be UTF-8."""
    return pyarrow.Array.from_buffers(pyarrow.string(), len(texts), pyarrow.array(texts, pyarrow.binary()).buffers())


def test_one_caption_that_is_not_utf8_does_not_cost_the_row(tmp_path):
    texts = {"caption": _broken(b"one", b"\xff\xfe", b"three"), "captions": [["a"], ["b"], ["c"]]}
    outcomes = _outcomes(tmp_path, {"image": [PICTURE] * 3, **texts})
    assert reasons(outcomes) == []
    assert CaptionCheck()(outcomes[1])[1] == ["invalid_utf8", ""]


def test_one_caption_of_a_list_that_is_not_utf8_does_not_cost_the_row(tmp_path):
    texts = pyarrow.ListArray.from_arrays([0, 1, 3], _broken(b"one", b"\xff\xfe", b"three"))
    outcomes = _outcomes(tmp_path, {"image": [PICTURE] * 2, "captions": texts})
    assert reasons(outcomes) == []
    assert CaptionCheck()(outcomes[1])[1] == ["invalid_utf8", ""]


def test_key_that_is_not_utf8_costs_its_row_only(tmp_path):
    columns = {"image": [PICTURE] * 3, "caption": ["a", "b", "c"], "key": _broken(b"1", b"\xff", b"3")}
    outcomes = _outcomes(tmp_path, columns)
    assert (captions(outcomes), reasons(outcomes)) == (["a", "c"], ["invalid_utf8"])


def test_table_without_rows_is_not_damaged(tmp_path):
    none = {"image": pyarrow.array([], pyarrow.binary()), "caption": pyarrow.array([], pyarrow.string())}
    assert _outcomes(tmp_path, none) == []


def test_header_limit_is_obeyed_and_named(tmp_path):
    (reject,) = _outcomes(tmp_path, {"image": [PICTURE], "caption": ["a"]}, Limits(header_bytes=5))
    assert reject.reason == "damaged_file"
    assert "Limits.header_bytes, which is 5" in reject.detail


@pytest.mark.parametrize("kind", [pyarrow.null(), pyarrow.bool_(), pyarrow.string()], ids=str)
def test_row_of_many_nulls_takes_no_memory(tmp_path, kind):
    before, count = memory.peak_bytes(), 20_000_000
    many = pyarrow.ListArray.from_arrays(pyarrow.array([0, 1, count], pyarrow.int32()), pyarrow.nulls(count, kind))
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"image": [PICTURE] * 2, "captions": many}), path, compression="zstd")
    del many
    written = memory.peak_bytes()
    with watchdog():
        (reject,) = all_of(ParquetSource(path=str(path)), path)
    assert (reject.reason, "Limits.values" in reject.detail) == ("too_many_values", True)
    read = memory.peak_bytes() - written
    print(f"{path.stat().st_size} bytes; memory {(written - before) >> 20} MB to write, then {read}")
    assert read < 100 << 20


def test_length_of_the_longest_row_is_exact(tmp_path, record_property):
    draw, checked = random.Random(0), 0
    for compression in ("none", "snappy", "gzip", "zstd", "brotli"):
        for version in ("1.0", "2.0"):
            for _ in range(6):
                lists = [["x"] * draw.choice((0, 1, 1, 2, 9, 40)) for _ in range(draw.randrange(1, 300))]
                longest = max(1, *map(len, lists))
                columns = {"image": [b"x"] * len(lists), "captions": lists}
                how = {"compression": compression, "data_page_version": version, "data_page_size": 64}
                for most, refused in ((longest, False), (longest - 1, True)):
                    if most:
                        outcomes = _outcomes(tmp_path, columns, Limits(values=most), **how)
                        assert ("too_many_values" in reasons(outcomes)) == refused
                        assert refused or len(outcomes) == len(lists)
                        assert refused or sum(isinstance(one, ImageText) for one in outcomes) == sum(map(bool, lists))
                        checked += 1
    record_property("files", checked)
    print(f"{checked} files")
