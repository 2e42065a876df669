"""2,000 broken pictures and rows: none crashes a source or a filter, and each is counted."""

import collections
import csv
import functools
import io
import json
import random

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from PIL import Image

from beam.filters.captions import CaptionCheck, CaptionFilter, CaptionSettings, RowRules
from beam.filters.pictures import DecodeCheck, PictureSettings
from beam.records import ImageText, Rejected
from beam.sources.delimited.source import CsvSource
from beam.sources.jsonl import JsonlSource
from beam.sources.parquet.source import ParquetSource
from beam.sources.rows.columns import to_pair
from beam.sources.rows.raw import RawRow
from beam.sources.rows.source import _decode, _raw_rows, _splits
from beam.sources.tfrecord.source import TfrecordSource
from beam.sources.webdataset.source import WebDatasetSource
from beam.stages import _without_captions
from tests.beam.sources import test_sources
from tests.pictures import encode

CHECK = DecodeCheck(PictureSettings(max_pixels=1_000_000, max_aspect=20, min_contrast=1.0, stored_side=40))
MANY = hypothesis.settings(
    max_examples=700, deadline=None, database=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)


@functools.cache
def seeds() -> list[bytes]:
    """One picture in each important format and mode, with metadata."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)).resize((64, 48))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    stream = io.BytesIO()
    picture.save(stream, "JPEG", exif=exif, progressive=True)
    animated = io.BytesIO()
    picture.save(animated, "GIF", save_all=True, append_images=[picture.rotate(90)], transparency=1)
    kinds = [("RGB", name) for name in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM")]
    kinds += [("RGBA", "PNG"), ("P", "PNG"), ("CMYK", "JPEG"), ("L", "JPEG"), ("1", "TIFF"), ("LA", "PNG")]
    return [stream.getvalue(), animated.getvalue(), *(encode(picture.convert(mode), kind) for mode, kind in kinds)]


def break_bytes(whole: bytes, rng: random.Random) -> bytes:
    """Changes, cuts, repeats or removes a few bytes or runs of bytes."""
    broken = bytearray(whole)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        if not broken:
            break
        start, length = rng.randrange(len(broken)), rng.choice([1, 1, 2, 4, 64])
        end = start + length
        kind = rng.randrange(5)
        if kind == 0:
            broken[start] ^= 1 << rng.randrange(8)
        elif kind == 1:
            broken[start:end] = rng.randbytes(length)
        elif kind == 2:
            del broken[start:end]
        elif kind == 3:
            broken[start:start] = broken[start:end]
        else:
            del broken[start if rng.random() < 0.3 else len(broken) - length :]
    return bytes(broken)


@MANY
@hypothesis.given(strategies.integers(0, 10**9))
def test_broken_pictures_are_kept_or_dropped_with_a_reason(seed):
    rng = random.Random(seed)
    outcome = CHECK(ImageText("k", break_bytes(rng.choice(seeds()), rng), "a", "f:1", "t"))
    if isinstance(outcome, Rejected):
        assert outcome.reason.startswith("image_")
        assert outcome.detail
    else:
        assert min(Image.open(io.BytesIO(outcome.image)).size) >= 16


@MANY
@hypothesis.given(strategies.binary(max_size=200))
def test_random_bytes_are_rejected_as_pictures(content):
    outcome = CHECK(ImageText("k", content, "a", "f:1", "t"))
    assert outcome.reason in ("image_empty", "image_undecodable")


VALUES = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats()
    | strategies.text(max_size=9) | strategies.binary(max_size=9),
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(strategies.text(max_size=5), inner),
    max_leaves=5,
)  # fmt: skip
NAMES = ("image", "image_base64", "caption", "captions", "key", "language", "category", "class_name")


@MANY
@hypothesis.given(strategies.dictionaries(strategies.sampled_from(NAMES) | strategies.text(max_size=5), VALUES))
def test_any_row_becomes_a_pair_or_a_reject(columns):
    outcome = to_pair(RawRow("folder/file", 1, columns), {}, ("caption", "captions"), "und", "fuzz")
    assert outcome.position == "folder/file:1"
    if isinstance(outcome, ImageText):
        checked, reasons = CaptionCheck()(outcome)
        kept = _without_captions((checked, reasons))
        if isinstance(kept, ImageText):
            kept.to_example()
            rules = CaptionSettings(2, 5, 0.5, False, False, 0, ("en",), ("a",))
            CaptionFilter(rules)(kept)
            RowRules(rules)(kept)


def _all_rows(source, path: str) -> list:
    rows = [_decode(row, source) for split in _splits(path, source) for row in _raw_rows(split, source)]
    return [to_pair(row, source.columns, source.captions, "und", source.name) for row in rows]


@pytest.mark.parametrize(("write", "kind"), [
    (test_sources.write_jsonl, JsonlSource), (test_sources.write_csv, CsvSource),
    (test_sources.write_webdataset, WebDatasetSource), (test_sources.write_tfrecord, TfrecordSource),
    (test_sources.write_parquet, ParquetSource),
])  # fmt: skip
def test_broken_files_give_rows_and_rejects(tmp_path, write, kind):
    """The rows before the damage are read, and the damage is reported."""
    source = write(tmp_path)
    assert isinstance(source, kind)
    path = source.path
    with open(path, "rb") as file:
        whole = file.read()
    untouched = len(_all_rows(source, path))
    assert untouched == 12
    rng, reasons = random.Random(7), collections.Counter()
    for _ in range(60):
        with open(path, "wb") as file:
            file.write(break_bytes(whole, rng))
        outcomes = _all_rows(source, path)
        for outcome in outcomes:
            checked = CHECK(outcome) if isinstance(outcome, ImageText) else outcome
            reasons[getattr(checked, "reason", "kept")] += 1
    assert reasons["kept"] > 30
    if kind is TfrecordSource:  # its checksums detect all damage
        assert {"kept", "damaged_file"} <= set(reasons) <= {"kept", "damaged_file", "damaged_record"}
    elif kind is ParquetSource:  # most changes break the index at the end, and without it no row is found
        assert reasons["damaged_file"] > 10
    else:
        assert len(reasons) > 2, reasons


def test_every_line_of_a_broken_file_is_counted(tmp_path):
    """Only line ends separate lines, so there are as many outcomes as lines."""
    rng = random.Random(3)
    good = json.dumps({"image_base64": test_sources.inline(seeds()[3]), "caption": "a picture"}).encode()
    lines = [break_bytes(good, rng).replace(b"\n", b"").replace(b"\r", b"") or b"{" for _ in range(300)]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    assert len(_all_rows(JsonlSource(), str(tmp_path / "a.jsonl"))) == sum(bool(line.strip()) for line in lines)
    stream = io.StringIO()
    csv.writer(stream).writerows(
        [["caption", "image"], *([line.decode("latin-1").replace("\0", ""), "x.png"] for line in lines)]
    )
    (tmp_path / "a.csv").write_text(stream.getvalue())
    outcomes = _all_rows(CsvSource(), str(tmp_path / "a.csv"))
    assert len(outcomes) == 300
    assert {outcome.reason for outcome in outcomes} <= {"image_missing", "caption_missing", "invalid_csv"}
