"""Rows of a group, such as the names of a picture in several languages, lie in one split."""

import base64
import pathlib

import pytest

from beam import build
from beam.sources import openmoji
from beam.sources.jsonl import JsonlSource
from beam.sources.openmoji import OpenMojiSource
from tests.beam import stored
from tests.beam.stored import LAYOUT, write_jsonl
from tests.pictures import shape_pairs


@pytest.fixture
def rows() -> list[dict]:
    return [
        {"image_base64": base64.b64encode(image).decode(), "caption": text} for image, text, _ in shape_pairs()[:60]
    ]


def run(source: JsonlSource, folder: pathlib.Path) -> dict:
    settings = build.ImageTextGenSettings(source, shards=LAYOUT.shards, salt=LAYOUT.salt, shard_bytes=0)
    stage = build.Build(settings, str(folder / "examples"), str(folder / "report"))
    return stored.run(stage, folder / "report")


def test_rows_of_a_group_lie_in_one_split_and_may_share_a_caption(tmp_path, rows):
    """A picture has names in two languages, some of them the same word; another picture with that word is dropped."""
    grouped = [
        {**row, "key": f"{i}-{language}", "group": f"{i}", "language": language, "caption": caption}
        for i, row in enumerate(rows[:40])
        for language, caption in (("en", f"shape {i}"), ("fr", f"forme {i}" if i % 2 else f"Shape {i}"))
    ]
    stranger = {**rows[50], "key": "99", "caption": "SHAPE 4"}
    manifest = run(write_jsonl(tmp_path / "a.jsonl", [*grouped, stranger]), tmp_path / "grouped")
    assert manifest["dropped"] == {"duplicate_caption": 1}
    assert manifest["captions_in_several_splits"] == 0
    assert manifest["splits"] == {name: 2 * count for name, count in _split_sizes(range(40)).items()}

    alone = [{name: value for name, value in row.items() if name != "group"} for row in grouped]  # control
    manifest = run(write_jsonl(tmp_path / "b.jsonl", alone), tmp_path / "alone")
    assert manifest["dropped"] == {"duplicate_caption": 20}


def _split_sizes(keys) -> dict[str, int]:
    splits = [LAYOUT.split_of(str(key)) for key in keys]
    return {split: splits.count(split) for split in LAYOUT.splits}


def test_openmoji_has_names_in_several_languages():
    found = list(openmoji._rasterise("1F436", 16, ("de", "en", "ja")))
    group = "openmoji-1F436"
    assert [(row.key, row.group, row.language, row.caption) for row in found] == [
        (f"{group}-de", group, "de", "hundegesicht"),
        (f"{group}-en", group, "en", "dog face"),
        (f"{group}-ja", group, "ja", "イヌの顔"),
    ]
    (alone,) = openmoji._rasterise("1F436", 16, ("en",))
    assert (alone.key, alone.group, alone.split_key) == (group, "", found[0].split_key)  # the same split either way


@pytest.mark.parametrize("languages", [(), ("en", "xx"), ("en", "en")])
def test_missing_unknown_or_repeated_languages_of_openmoji_are_refused(languages):
    with pytest.raises(ValueError, match=r"OpenMojiSource\.languages"):
        OpenMojiSource(languages=languages)
