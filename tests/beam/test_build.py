"""The whole build: every row is written or rejected, and the bytes depend on rows and settings only."""

import base64
import json
import pathlib
import random

import apache_beam
import pytest
import tensorflow as tf

from beam import build, records, sources, stages, store, writer
from beam.sources.jsonl import JsonlSource
from beam.sources.openmoji import OpenMojiSource
from models import features
from tests.beam import stored
from tests.beam.stored import write_jsonl
from tests.pictures import shape_pairs

LAYOUT = writer.Layout({"train": 8, "eval": 1, "test": 1}, shards=3, salt="test")


def run(source: sources.Source, folder: pathlib.Path, **options) -> dict:
    with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
        given = {"shards": LAYOUT.shards, "salt": LAYOUT.salt, "shard_bytes": 0, **options}
        chosen = build.ImageTextGenSettings(source, **given)
        pipeline | build.Build(chosen, str(folder / "examples"), str(folder / "report"))
    return json.loads((folder / "report" / store.MANIFEST_FILE).read_text())


def captions(folder: pathlib.Path, split: str) -> list[str]:
    found = []
    for path in sorted((folder / "examples" / f"Split-{split}").iterdir()):
        for example in tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator():
            feature = tf.train.Example.FromString(example).features.feature
            found.append(feature[features.CAPTION].bytes_list.value[0].decode())
    return found


@pytest.fixture
def rows() -> list[dict]:
    return [
        {"image_base64": base64.b64encode(image).decode(), "caption": caption, "class_name": colour}
        for image, caption, colour in shape_pairs()[:120]
    ]


def test_same_rows_give_the_same_bytes_in_any_order_and_number_of_files(tmp_path, rows):
    run(write_jsonl(tmp_path / "a.jsonl", rows), tmp_path / "one")
    shuffled = random.Random(1).sample(rows, len(rows))
    (tmp_path / "many").mkdir()
    for i in range(4):
        write_jsonl(tmp_path / "many" / f"{i}.jsonl", shuffled[i::4])
    run(JsonlSource(str(tmp_path / "many" / "*.jsonl")), tmp_path / "four")
    one, four = (
        stored.checksums(tmp_path / "one" / "examples", "*"),
        stored.checksums(tmp_path / "four" / "examples", "*"),
    )
    assert one == four
    assert len(one) == 9

    run(write_jsonl(tmp_path / "b.jsonl", rows[1:]), tmp_path / "other")  # control: other rows, other bytes
    assert stored.checksums(tmp_path / "other" / "examples", "*") != one


def test_the_same_row_of_a_key_is_kept_in_any_order(tmp_path, rows):
    clashing = [{**row, "key": f"key-{i // 2}"} for i, row in enumerate(rows[:40])]
    for name, ordered in (("a", clashing), ("b", clashing[::-1])):
        manifest = run(write_jsonl(tmp_path / f"{name}.jsonl", ordered), tmp_path / name)
        assert manifest["dropped"] == {"duplicate_key": 20}
    assert stored.checksums(tmp_path / "a" / "examples", "*") == stored.checksums(tmp_path / "b" / "examples", "*")


def test_a_caption_in_two_splits_stops_a_run_with_unique_captions(tmp_path, rows, monkeypatch):
    same = [{**row, "caption": "a shape"} for row in rows]
    monkeypatch.setattr(build, "_corpus_filters", lambda options: [])
    with pytest.raises(Exception, match="1 captions lie in more than one split although captions are unique"):
        run(write_jsonl(tmp_path / "a.jsonl", same), tmp_path)


def test_every_row_is_kept_or_dropped_with_a_reason(tmp_path, rows):
    (tmp_path / "found.png").write_bytes(base64.b64decode(rows[0]["image_base64"]))
    bad = {
        "invalid_json": b"{broken\n",
        "invalid_utf8": b'{"caption": "\xff\xfe"}\n',
        "invalid_base64": {"image_base64": "?", "caption": "no base64"},
        "caption_missing": {"image_base64": rows[3]["image_base64"]},
        "caption_empty": {"image_base64": rows[4]["image_base64"], "caption": "  "},
        "image_missing": {"caption": "a row without an image"},
        "image_undecodable": {"image_base64": base64.b64encode(b"no picture").decode(), "caption": "broken picture"},
        "image_empty": {"image_base64": "", "caption": "no bytes"},
        "invalid_field": {"image_base64": rows[5]["image_base64"], "caption": "truth as key", "key": True},
        "duplicate_key": rows[10],
        "duplicate_caption": {**rows[11], "image_base64": rows[12]["image_base64"]},
    }
    relative = {"image": "found.png", "caption": "a picture by its path"}
    again = [
        {"image": "lost.png", "caption": "x"},
        {"image": "nosuchscheme://x.png", "caption": "x"},
        {**rows[6], "captions": 7},
        {**rows[7], "captions": ["fine", 7]},
        {"image_base64": rows[8]["image_base64"], "captions": [" ", None]},
        b'{"image_base64": "", "caption": "a lone surrogate \\ud83d"}\n',
        b"[" * 100_000 + b"\n",
    ]
    source = write_jsonl(tmp_path / "pairs.jsonl", [*rows, relative, *bad.values(), *again])
    manifest = run(source, tmp_path)
    assert manifest["read"] == len(rows) + len(bad) + 1 + len(again)
    assert manifest["written"] == len(rows) + 1
    twice = {"image_missing": 3, "invalid_utf8": 2, "invalid_json": 2, "invalid_field": 3, "caption_empty": 2}
    assert manifest["dropped"] == {**dict.fromkeys(bad, 1), **twice}
    assert manifest["written"] == sum(len(captions(tmp_path, split)) for split in LAYOUT.splits)

    (sidecar,) = manifest["reject_files"]
    rejects = [json.loads(line) for line in (tmp_path / "report" / sidecar).read_text().splitlines()]
    assert {reject["reason"] for reject in rejects} == set(bad)
    first_bad_line = len(rows) + 2
    assert f"{tmp_path}/pairs.jsonl:{first_bad_line}" in {
        r["position"] for r in rejects if r["reason"] == "invalid_json"
    }
    assert any("lost.png" in reject["detail"] for reject in rejects)
    assert any("captions[1] is 7, but must be text" in reject["detail"] for reject in rejects)


def test_a_lost_row_stops_the_run(tmp_path, rows, monkeypatch):
    def lose_one(_: build.ImageTextGenSettings) -> list:
        return [("Lose", _Lose())]

    monkeypatch.setattr(build, "_row_filters", lose_one)
    with pytest.raises(Exception, match="read 120 rows, but wrote 119"):
        run(write_jsonl(tmp_path / "a.jsonl", rows), tmp_path)


class _Lose(apache_beam.PTransform):
    @apache_beam.typehints.no_annotations
    def expand(self, rows: apache_beam.PCollection) -> stages.Kept:
        some = shape_pairs()[5][1]
        return rows | apache_beam.Filter(lambda row: row.caption != some) | stages.Separate()


def test_held_out_captions_of_openmoji_are_not_in_the_train_split(tmp_path):
    manifest = run(OpenMojiSource(size=32), tmp_path)
    assert manifest["written"] > 3700
    assert manifest["captions_in_several_splits"] == 0
    by_split = {split: {caption.lower() for caption in captions(tmp_path, split)} for split in LAYOUT.splits}
    assert not by_split["train"] & (by_split["eval"] | by_split["test"])
    assert sum(map(len, by_split.values())) == manifest["written"]
    for split in ("eval", "test"):
        assert 0.08 < len(by_split[split]) / manifest["written"] < 0.12


def test_allowed_shared_captions_are_counted(tmp_path, rows):
    same = [{**row, "caption": "a shape"} for row in rows]
    manifest = run(write_jsonl(tmp_path / "a.jsonl", same), tmp_path, unique_captions=False)
    assert manifest["written"] == len(rows)
    assert manifest["captions_in_several_splits"] == 1


def test_split_is_a_function_of_key_and_salt():
    keys = [f"key-{i}" for i in range(4000)]
    shares = [LAYOUT.split_of(key) for key in keys]
    assert 0.78 < shares.count("train") / len(keys) < 0.82
    reordered = writer.Layout(dict(reversed(LAYOUT.splits.items())), LAYOUT.shards, LAYOUT.salt)
    assert [reordered.split_of(key) for key in keys] == shares
    with pytest.raises(ValueError, match=r"Layout.splits is .'train': 0.8, 'eval': 0.2., but must be of type dict"):
        writer.Layout({"train": 0.8, "eval": 0.2}, 1, "x")
    other = writer.Layout(LAYOUT.splits, LAYOUT.shards, salt="other")
    assert [other.split_of(key) for key in keys] != shares


@pytest.mark.parametrize("path", ["", "missing.jsonl", "missing/*.jsonl"])
def test_missing_input_is_reported_with_the_setting(path):
    with pytest.raises(ValueError, match=r"JsonlSource.path is .*no such file exists"):
        JsonlSource(path).fingerprint()


def test_fingerprint_changes_with_the_input(tmp_path, rows):
    source = write_jsonl(tmp_path / "a.jsonl", rows)
    before = source.fingerprint()
    assert source.fingerprint() == before
    write_jsonl(tmp_path / "a.jsonl", rows[1:])
    assert source.fingerprint() != before


def test_equal_rows_serialise_equally():
    row = records.ImageText("k", b"i", "c", "f:1", "s")
    moved = records.ImageText("k", b"i", "c", "g:9", "s")
    assert row.to_example() == moved.to_example()
    assert records.normalised(" A  b") == "a b"


def test_a_picture_may_have_several_captions(tmp_path, rows):
    pictures = [row["image_base64"] for row in rows]
    several = [
        {"image_base64": pictures[0], "caption": "first", "captions": ["second ", "third"]},
        {"image_base64": pictures[1], "captions": ["only"]},
        {"image_base64": pictures[2], "captions": ["Third", "fourth"]},
        {"image_base64": pictures[3], "captions": ["first", "fifth"]},
    ]
    manifest = run(write_jsonl(tmp_path / "a.jsonl", several), tmp_path)
    assert manifest["dropped"] == {"duplicate_caption": 1}  # the first caption counts
    stored = {}
    for path in (tmp_path / "examples").rglob("*.gz"):
        for example in tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator():
            feature = tf.train.Example.FromString(example).features.feature
            more = list(feature[features.MORE_CAPTIONS].bytes_list.value) if features.MORE_CAPTIONS in feature else None
            stored[feature[features.CAPTION].bytes_list.value[0]] = more
    first = b"first" if b"first" in stored and stored[b"first"] == [b"second", b"third"] else None
    assert stored.pop(b"only") is None
    assert stored.pop(b"Third") == [b"fourth"]
    assert len(stored) == 1
    assert first or stored == {b"first": [b"fifth"]}
    layout_splits = {
        LAYOUT.split_of(records.content_key(base64.b64decode(pictures[i]), c)) for i, c in ((0, "first"), (2, "Third"))
    }
    assert manifest["captions_in_several_splits"] == (1 if first and len(layout_splits) == 2 else 0)
