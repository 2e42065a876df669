"""Scenes show pictures of one split, without overlap, where their boxes say."""

import functools
import io

import apache_beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from PIL import Image

from beam import reader
from beam.build import Build, ImageTextGenSettings
from beam.evaluation_sets import EvaluationSetSettings, EvaluationSuiteSettings, WriteEvaluationSets
from beam.records import ImageText
from beam.sources import OpenMojiScenes, openmoji, openmoji_scenes
from models.settings import configuration
from pipeline.settings.run import PipelineSettings

EVAL = OpenMojiScenes(split="eval", scenes=40, pictures=False)
CODES = sorted(openmoji._pictures())[::60]


@functools.cache
def shown() -> list:
    rows = [row for code in CODES for row in openmoji._rasterise(code, 16, ("en",)) if isinstance(row, ImageText)]
    every = OpenMojiScenes(split="train", train_share=8, eval_share=1, test_share=1)
    return [one for row in rows for one in openmoji_scenes._shown(row, every)]


def drawn(source: OpenMojiScenes, count: int) -> list[list[ImageText]]:
    return [list(openmoji_scenes._scene(number, shown(), source)) for number in range(count)]


def sides(row: ImageText) -> np.ndarray:
    return np.array(row.boxes) * 224


def test_pictures_lie_inside_their_boxes_and_do_not_overlap():
    scenes = drawn(EVAL, 40)
    assert {len(rows) for rows in scenes} == {2, 3, 4}
    for rows in scenes:
        pixels = np.asarray(Image.open(io.BytesIO(rows[0].image)).convert("RGB"), np.int32)
        assert pixels.shape == (224, 224, 3)
        covered = np.zeros([224, 224], np.int32)
        for row in rows:
            top, left, bottom, right = np.round(sides(row)).astype(int)
            assert 48 <= bottom - top == right - left <= 96
            covered[top:bottom, left:right] += 1
            assert (pixels[top:bottom, left:right] < 255).any()
            assert (row.image, row.split_key, row.category) == (rows[0].image, rows[0].group, "scene")
        assert covered.max() == 1
        assert (pixels[covered == 0] == 255).all()
        moved = np.roll(covered, 40, axis=(0, 1))  # control: boxes of other places
        assert not (pixels[moved == 0] == 255).all()
    assert len({row.key for rows in scenes for row in rows}) == sum(map(len, scenes))


def test_a_scene_is_the_same_in_every_run_and_another_with_another_seed():
    assert drawn(EVAL, 3) == drawn(EVAL, 3)
    other = drawn(OpenMojiScenes(split="eval", scenes=40, pictures=False, seed=1), 3)
    assert [rows[0].image for rows in other] != [rows[0].image for rows in drawn(EVAL, 3)]


def test_a_training_scene_is_one_row_of_the_train_split_whose_caption_has_all_names():
    source = OpenMojiScenes(scenes=40)
    names = {one.name for one in shown()}
    for (row,) in drawn(source, 20):
        assert source.layout.split_of(row.split_key) == "train"
        assert row.boxes == ()
        assert 2 <= len(source.pictures_of(row.split_key)) <= 4
        assert all(part in names for part in row.caption.split(" and "))
    for rows in drawn(EVAL, 20):
        assert source.layout.split_of(rows[0].split_key) == "eval"
        pictures = {f"openmoji-{one.code}" for one in shown() if one.name in {row.caption for row in rows}}
        assert source.pictures_of(rows[0].split_key) == pictures


def test_a_full_canvas_falls_back_to_a_grid():
    full = OpenMojiScenes(split="eval", canvas=192, min_objects=4, min_side=96)
    for rows in drawn(full, 5):
        covered = np.zeros([192, 192], np.int32)
        for row in rows:
            top, left, bottom, right = np.round(np.array(row.boxes) * 192).astype(int)
            covered[top:bottom, left:right] += 1
        assert (covered == 1).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"canvas": 191}, "OpenMojiScenes.canvas is 191, but must be 192 or more, so that 4 pictures of 96 px fit"),
        ({"split": "all"}, "OpenMojiScenes.split is 'all', but must be one of train, eval, test"),
        ({"max_objects": 1}, "OpenMojiScenes.max_objects is 1, but must be min_objects \\(2\\) or more"),
        ({"max_side": 47}, "OpenMojiScenes.max_side is 47, but must be min_side \\(48\\) or more"),
        ({"size": 5}, "OpenMojiSource.size is 5"),
    ],
)
def test_settings_that_cannot_be_drawn_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        OpenMojiScenes(**values)


def run(*transforms) -> None:
    with apache_beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner"])) as pipeline:
        for number, transform in enumerate(transforms):
            pipeline | str(number) >> transform


def test_no_picture_of_a_held_out_scene_is_in_a_training_row(tmp_path, monkeypatch):
    real = openmoji._pictures()
    few = {code: real[code] for code in CODES}
    few[CODES[1]] = few[CODES[0]]  # twins: two names of one drawing
    monkeypatch.setattr(openmoji, "_pictures", lambda: few)
    shares = {"train_share": 2, "eval_share": 1, "test_share": 1}
    source = OpenMojiScenes(scenes=30, size=32, **shares)
    built = ImageTextGenSettings(source, shards=1, unique_captions=False, **shares)
    run(Build(built, str(tmp_path / "built"), str(tmp_path / "report")))
    rows = {split: list(rows_of(tmp_path / "built", split)) for split in ("train", "eval", "test")}
    assert sum(row.category == "scene" for row in rows["train"]) == 30
    assert not [row for row in (*rows["eval"], *rows["test"]) if row.category == "scene"]
    twins = [row for some in rows.values() for row in some if row.group and row.category != "scene"]
    assert len(twins) == 2
    assert {row.group for row in twins} == {min(row.key for row in twins)}

    def write_sets(salt: str, name: str) -> None:
        held_out = OpenMojiScenes(split="eval", scenes=20, pictures=False, size=32, salt=salt, **shares)
        suite = EvaluationSuiteSettings((EvaluationSetSettings("scenes", held_out),))
        folders = [str(tmp_path / "built" / f"Split-{split}") for split in ("eval", "train")]
        run(WriteEvaluationSets(suite, folders[0], str(tmp_path / name), str(tmp_path / f"{name}-report"), folders[1]))

    write_sets("siglip", "sets")
    scenes = list(rows_of(tmp_path / "sets", "scenes"))
    assert len({row.group for row in scenes}) == 20
    assert all(len(row.boxes) == 4 and row.evaluation_set == "scenes" for row in scenes)
    with pytest.raises(Exception, match=r"EvaluationSet 'scenes': row .* shows 'openmoji-.*', but the training row"):
        write_sets("another", "wrong")  # control: the salt of other splits


def rows_of(folder, split: str):
    for path in reader.shards(str(folder / f"Split-{split}")):
        yield from reader.read_shard(path)


def test_gin_files_of_scenes_can_be_read():
    files = ["gin/data/openmoji_scenes.gin", "gin/evaluation/scenes.gin"]
    (run_settings,) = configuration.load(files, [], [PipelineSettings])
    assert run_settings.image_text_gen.source == OpenMojiScenes()
    (scenes,) = run_settings.evaluation_sets
    assert scenes.source.split == "eval"
    assert scenes.source.layout == OpenMojiScenes().layout
