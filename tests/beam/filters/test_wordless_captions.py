"""One bad caption among good ones is removed and counted; the row goes only with its last caption."""

import base64
import json
import random
import unicodedata

import apache_beam
import pyarrow
import pytest
from pyarrow import parquet

from beam import build, evaluation_sets
from beam.filters.captions import CaptionCheck, CaptionSettings
from beam.filters.pictures import PictureSettings
from beam.records import ImageText
from beam.sources.parquet.source import ParquetSource
from beam.sources.rows.columns import to_pair
from beam.sources.rows.raw import RawRow
from beam.sources.tfrecord.source import TfrecordSource
from tests.beam import stored
from tests.beam.sources.mutated_files import framed, outcomes
from tests.beam.sources.test_limits import example
from tests.pictures import shape_pairs

WORDLESS = ["", " ", "\u200b", "\ufeff", "\u00ad", "\u202e", "!!!", "...", "\u0301", "\u00b4", "_", "\u2060 \u200d",
            "\u3164", "\u2800", "\ufffd\ufffd",
            "—", "\ufe70", "\u0000", "‼", "+", "\ue000", "\U000e0041", "、。"]  # fmt: skip
WORDS = [
    "#\ufe0f\u20e3",
    "\u25fe",
    "\U0001f3fd",
    "\u203c\ufe0f",
    "\u2194\ufe0f",
    "\U0001fae8",  # of Unicode 15, which Python 3.10 does not know
    "\U0002ebf0",
    "a",
    "7",
    "é",
    "e\u0301",
    "赤",
    "नमस्ते",
    "ผ้า",
    "한",
    "😀",
    "♥",
    "①",
    "½",
    "Ⅷ",
    "👨\u200d👩\u200d👧",
    "ﬁ",
    "C++",
    "№",
]


def checked(*captions: str, **settings: int) -> tuple[tuple[str, ...], list[str]]:
    row = ImageText("k", b"", captions[0], "f:1", "t", more_captions=captions[1:])
    clean, reasons = CaptionCheck(CaptionSettings(**settings))(row)
    return clean.captions, reasons


@pytest.mark.parametrize("caption", WORDLESS)
def test_caption_without_a_word_is_removed(caption):
    assert checked("good", caption)[1] == ["", "caption_empty"]


@pytest.mark.parametrize("caption", WORDS)
def test_caption_with_a_word_is_kept(caption):
    assert checked(caption) == ((caption,), [""])


def test_invisible_characters_at_the_ends_are_removed():
    assert checked("\ufeffa boat", "\u200b \u202aa\u200bb\u202c\n", "flag \U0001f3f4\U000e0067\U000e007f")[0] == (
        "a boat", "a\u200bb", "flag \U0001f3f4\U000e0067\U000e007f",
    )  # fmt: skip


def test_large_and_invalid_captions_are_removed():
    assert checked("x" * 11, "é" * 6, "x" * 10, "\udcff", max_bytes=10)[1] == [
        "caption_too_large", "caption_too_large", "", "invalid_utf8",
    ]  # fmt: skip


def test_captions_of_random_characters_have_a_word_if_one_character_is_a_word():
    """5,000 captions: the rule holds for any mixture, and spaces or invisible characters never change it."""
    rng = random.Random(5)
    kept = 0
    for _ in range(5000):
        parts = rng.choices(WORDLESS, k=rng.randrange(1, 5)) + rng.choices(WORDS, k=rng.randrange(2))
        rng.shuffle(parts)
        caption = "".join(parts)
        (clean,), (reason,) = checked(caption)
        has_word = any(part in WORDS for part in parts)
        assert (reason == "") == has_word, caption
        assert not has_word or unicodedata.category(clean[0]) != "Cf" or clean[0] in "\u200d\U000e0041"
        kept += has_word
    print(f"{kept} of 5000 captions have a word")


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return [
        {"image_base64": base64.b64encode(image).decode(), "caption": f"{caption} {number}", "key": f"k{number}"}
        for number, (image, caption, _) in enumerate(shape_pairs()[:60])
    ]


def run(source, folder) -> dict:
    settings = build.ImageTextGenSettings(source, pictures=PictureSettings(min_side=1), shards=1)
    with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
        pipeline | build.Build(settings, str(folder / "examples"), str(folder / "report"))
    return json.loads((folder / "report" / "manifest.json").read_text())


def test_build_removes_bad_captions_and_keeps_the_row(tmp_path, rows):
    picture = {"image_base64": rows[0]["image_base64"]}
    more = [
        {**picture, "captions": ["good one", ""]},
        {**picture, "captions": ["good two", None]},
        {**picture, "captions": ["\u200b", "good three", "!!!"]},
        {**picture, "caption": "", "captions": ["good four"]},
        {**picture, "captions": ["good five", "x" * 70_000, "\ud800"]},
        {**picture, "captions": ["", None]},
        {**picture, "captions": [None]},
        {**picture, "caption": "!!!"},
    ]
    manifest = run(stored.write_jsonl(tmp_path / "a.jsonl", [*rows, *more]), tmp_path)
    assert manifest["written"] == len(rows) + 5
    assert manifest["dropped"] == {"caption_empty": 2, "caption_missing": 1}
    assert manifest["captions_removed"] == {"caption_empty": 5, "caption_too_large": 1, "invalid_utf8": 1}
    kept = {row.caption: row for row in stored.read(tmp_path / "examples").values()}
    assert kept["good three"].more_captions == ()


def test_bad_caption_before_a_good_one_does_not_change_the_key():
    rows = [
        {"image": b"x", "captions": captions}
        for captions in (["good"], ["", "good"], [None, "good"], [b"\xff", "good"])
    ]
    pairs = [to_pair(RawRow("f", 1, row), {}, ("captions",), "und", "t") for row in rows]
    assert len({pair.key for pair in pairs}) == 1


def test_evaluation_sets_count_removed_captions(tmp_path, rows):
    source = stored.write_jsonl(tmp_path / "a.jsonl", [*rows, {**rows[0], "key": "x", "captions": ["", "fine words"]}])
    suite = evaluation_sets.EvaluationSuiteSettings((evaluation_sets.EvaluationSetSettings("other", source),))
    with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
        pipeline | evaluation_sets.WriteEvaluationSets(suite, "", str(tmp_path / "examples"), str(tmp_path / "report"))
    manifest = json.loads((tmp_path / "report" / "other" / "manifest.json").read_text())
    assert manifest["captions_removed"] == {"caption_empty": 1}
    assert manifest["written"] == manifest["read"] == len(rows) + 2


def test_sources_of_bytes_keep_the_row_of_a_bad_caption(tmp_path):
    parquet.write_table(pyarrow.table({"image": [b"x"], "TEXT": [""], "gen": ["good"]}), tmp_path / "a.parquet")
    (tmp_path / "a.tfrecord").write_bytes(framed(example(image=[b"x"], captions=[b"", b"\xff", b"good"])))
    sources = (
        ParquetSource(str(tmp_path / "a.parquet"), captions=("TEXT", "gen")),
        TfrecordSource(f"{tmp_path}/a.tfrecord"),
    )
    for source in sources:
        ((_, row, removed),) = outcomes(source)
        assert row.captions == ("good",)
        assert removed[0] == "caption_empty"
