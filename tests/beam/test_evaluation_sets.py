"""Evaluation sets become splits; each row has one caption and the name of its set, and no row is lost."""

import base64
import functools
import itertools
import json
import pathlib
import shutil
from collections.abc import Callable

import apache_beam
import pytest

from beam import reader, store, writer
from beam.build import Build, ImageTextGenSettings
from beam.evaluation_sets import EvaluationSetSettings, EvaluationSuiteSettings, WriteEvaluationSets
from beam.sources import JsonlSource
from pipeline.evaluation import sets
from tests.pictures import shape_pairs

PAIRS = shape_pairs()[::20]
FLAGS = ["--runner=FnApiRunner"]


def source(folder, rows: list[dict]) -> JsonlSource:
    folder.mkdir()
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return JsonlSource(path=str(path))


def row(number: int, **more) -> dict:
    picture, caption, colour = PAIRS[number]
    return {"image_base64": base64.b64encode(picture).decode(), "captions": [caption, "second", "third"],
            "key": f"k{number}", "class_name": colour, **more}  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    broken = [{"image_base64": "anVuaw==", "caption": "junk", "key": "junk"}, {"caption": "no picture"}]
    rows = [row(i) for i in range(6)]
    clean, origin = (source(folder / name, of) for name, of in (("clean", rows), ("all", [*rows, row(0), *broken])))
    with apache_beam.Pipeline(options=apache_beam.options.pipeline_options.PipelineOptions(FLAGS)) as pipeline:
        built = ImageTextGenSettings(clean, shards=1, salt="x", unique_captions=False)
        pipeline | Build(built, str(folder / "built"), str(folder / "report"))
    own = folder / "own"
    own.mkdir()
    for number, path in enumerate(reader.shards(str(folder / "built"))):
        shutil.copy(path, own / f"{number}.gz")
    suite = EvaluationSuiteSettings(
        (
            EvaluationSetSettings("eval", all_captions=False),
            EvaluationSetSettings("coco", origin),
            EvaluationSetSettings("named", origin, classes=("zebra", PAIRS[1][2]), all_captions=False),
        )
    )
    for place in ("a", "b"):
        with apache_beam.Pipeline(options=apache_beam.options.pipeline_options.PipelineOptions(FLAGS)) as pipeline:
            pipeline | WriteEvaluationSets(suite, str(own), str(folder / place), str(folder / f"{place}-report"))
    return folder


def rows_of(folder, name: str) -> list:
    paths = [path for path in reader.shards(str(folder)) if f"/Split-{name}/" in path]
    return sorted((row for path in paths for row in reader.read_shard(path)), key=lambda row: row.key)


def manifest(folder, name: str) -> dict:
    return json.loads((folder / "a-report" / name / store.MANIFEST_FILE).read_text())


def test_each_caption_becomes_a_row_in_the_group_of_its_picture(written):
    coco = rows_of(written / "a", "coco")
    assert len(coco) == 18
    assert {one.evaluation_set for one in coco} == {"coco"}
    of_first = [one for one in coco if one.group == "k0"]
    assert [one.key for one in of_first] == ["k0", "k0#1", "k0#2"]
    assert [one.caption for one in of_first] == [PAIRS[0][1], "second", "third"]
    assert {one.image for one in of_first} == {PAIRS[0][0]}
    own = rows_of(written / "a", "eval")
    assert [one.caption for one in own] == [PAIRS[i][1] for i in range(6)]
    assert {one.evaluation_set for one in own} == {"eval"}


def test_the_captions_of_a_picture_lie_side_by_side(written):
    paths = [path for path in reader.shards(str(written / "a")) if "/Split-coco/" in path]
    stored = [[(row.group, row.key) for row in reader.read_shard(path)] for path in paths]
    assert sum(len([*itertools.groupby(shard, lambda row: row[0])]) for shard in stored) == 6
    apart = writer.Layout({"coco": 1}, 1, "evaluation")  # control: the order of a layout without groups
    mixed = sorted(itertools.chain(*stored), key=lambda row: apart.order_of(apart.place_key(*row), row[1]))
    assert len([*itertools.groupby(mixed, lambda row: row[0])]) > 6


def test_a_group_has_one_picture_and_rows_with_another_are_rejected(tmp_path):
    rows = [row(0, group="g"), row(1, group="g"), row(2, group="g", image_base64=row(0)["image_base64"]), row(3)]
    origin = source(tmp_path / "rows", rows)
    suite = EvaluationSuiteSettings((EvaluationSetSettings("mixed", origin, all_captions=False),))
    with apache_beam.Pipeline(options=apache_beam.options.pipeline_options.PipelineOptions(FLAGS)) as pipeline:
        pipeline | WriteEvaluationSets(suite, "", str(tmp_path / "a"), str(tmp_path / "report"))
    assert [one.key for one in rows_of(tmp_path / "a", "mixed")] == ["k0", "k2", "k3"]
    folder = tmp_path / "report" / "mixed"
    assert json.loads((folder / store.MANIFEST_FILE).read_text())["dropped"] == {"another_picture_in_group": 1}
    detail = "its group is 'g', of which 'k0' shows another picture; give each picture its own group"
    assert detail in (folder / "rejects-00000-of-00001.jsonl").read_text()


def test_a_set_of_unknown_classes_alone_says_which_list_to_correct(tmp_path):
    origin = source(tmp_path / "rows", [row(i) for i in range(3)])
    one = EvaluationSetSettings("named", origin, classes=("zebra", "yak"))
    with pytest.raises(store.NoRows) as raised:
        sets.build(one, "", str(tmp_path / "out"), FLAGS)
    message = str(raised.value)
    assert f"read from JsonlSource ({origin.path}), 0 kept" in message
    fix = "Give the rows classes of the list (EvaluationSet.classes, or class_names of the source), or correct the list"
    assert message.endswith(fix)
    assert "Pictures.*" not in message


def built(tmp_path, rows: list[dict]) -> tuple[str, Callable[[], None]]:
    """The folder of the set "pets" with these rows, and the function that builds it."""
    folder = str(tmp_path / "built")
    one = EvaluationSetSettings("pets", source(tmp_path / "pets", rows))
    return folder, functools.partial(sets.build, one, "", folder, FLAGS)


@pytest.mark.parametrize("several", [False, True])
def test_a_built_set_says_whether_a_row_has_several_right_classes(tmp_path, several):
    more = {"class_name": None, "class_names": ["cat", "dog"]} if several else {"class_name": "cat"}
    folder, build = built(tmp_path, [row(0, class_name="cat"), row(1, **more)])
    build()
    assert sets.has_several_classes(folder, "pets") == several
    assert sets.classes(folder, "pets") == (["cat", "dog"] if several else ["cat"])


def test_a_set_of_an_older_version_is_built_again(tmp_path, capsys):
    folder, build = built(tmp_path, [row(0), row(1)])
    build()
    capsys.readouterr()
    build()
    assert capsys.readouterr().out.startswith("pets lies in")
    pathlib.Path(folder, "report", "several_classes.json").unlink()
    build()
    assert not capsys.readouterr().out.startswith("pets lies in")
    assert not sets.has_several_classes(folder, "pets")


def test_rejected_rows_are_counted_and_stored_by_reason(written):
    coco = manifest(written, "coco")
    assert coco["dropped"] == {"duplicate_key": 1, "image_missing": 1, "image_undecodable": 1}
    assert coco["read"] == coco["written"] + 3 == 21  # 9 rows, and 12 further captions of the kept ones
    named = manifest(written, "named")
    others = sum(PAIRS[i][2] != PAIRS[1][2] for i in range(6))
    assert named["dropped"]["unknown_class"] >= others
    assert named["read"] == named["written"] + sum(named["dropped"].values())
    rejects = (written / "a-report" / "named" / "rejects-00000-of-00001.jsonl").read_text()
    unknown = next(PAIRS[i][2] for i in range(6) if PAIRS[i][2] != PAIRS[1][2])
    assert f"'{unknown}' is not in the set's classes" in rejects


def test_classes_are_the_named_ones_or_those_in_the_rows(written):
    classes = json.loads((written / "a-report" / "classes.json").read_text())
    assert classes["named"] == ["zebra", PAIRS[1][2]]
    assert classes["eval"] == sorted({PAIRS[i][2] for i in range(6)})


def test_the_same_sets_give_the_same_bytes(written):
    first, second = (reader.shards(str(written / place)) for place in ("a", "b"))
    assert [pathlib.Path(path).read_bytes() for path in first] == [pathlib.Path(path).read_bytes() for path in second]
