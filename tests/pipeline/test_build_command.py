"""The build command, on WebDataset tars and Parquet files that the tests write."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tarfile

import pyarrow
import pytest
import tensorflow as tf
from PIL import Image
from pyarrow import parquet

from beam import spool
from beam.build import ImageTextGenSettings
from beam.dedupe import DeduperSettings
from beam.sources import JsonlSource
from models import features
from pipeline import build as command
from pipeline.console import output_folder
from pipeline.drawing import contact_sheet
from pipeline.settings.run import PipelineSettings
from tests.beam import stored
from tests.beam.sources.test_sources import add
from tests.pictures import draw_shape, encode, shape_pairs

ROOT = pathlib.Path(__file__).parents[2]
SHAPES = shape_pairs()[:60]
LARGE = encode(Image.effect_noise((800, 500), 70).convert("RGB"), "JPEG")
BROKEN = [(b"no picture", "a broken picture"), (SHAPES[0][0], "IMG_0001"), (LARGE[:999], "a photo cut short")]
TARS = ["gin/data/webdataset.gin", "gin/filters/web.gin"]
NO_LIMIT = "Pictures.min_side = 16"


def rows() -> list[tuple[bytes, str]]:
    return [*((image, caption) for image, caption, _ in SHAPES), (LARGE, "some noise, large"), *BROKEN]


def write_tars(folder: pathlib.Path, pairs: list[tuple[bytes, str]], count: int) -> str:
    for number in range(count):
        with tarfile.open(folder / f"{number}.tar", "w") as tar:
            for place, (image, caption) in enumerate(pairs[number::count]):
                add(tar, f"{place:05d}.jpg", image)
                add(tar, f"{place:05d}.txt", caption.encode())
    return f"WebDatasetSource.path = '{folder}/*.tar'"


def examples(folder: pathlib.Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.glob("Split-*/data_tfrecord-*")):
        for example in tf.data.TFRecordDataset(str(path), "GZIP" if path.suffix else "").as_numpy_iterator():
            feature = tf.train.Example.FromString(example).features.feature
            found[feature[features.CAPTION].bytes_list.value[0].decode()] = feature[features.IMAGE].bytes_list.value[0]
    return found


def shards(folder: pathlib.Path) -> dict[str, str]:
    return {name: checksum for name, checksum in stored.checksums(folder, "*").items() if name.startswith("Split-")}


def test_tar_and_parquet_file_of_the_same_rows_give_the_same_pairs(tmp_path):
    (tmp_path / "tars").mkdir()
    path = write_tars(tmp_path / "tars", rows(), 2)
    manifest = command.run(TARS, [path, NO_LIMIT], str(tmp_path / "a"))
    images, captions = zip(*rows(), strict=True)
    parquet.write_table(pyarrow.table({"jpg": images, "caption": captions}), tmp_path / "a.parquet", row_group_size=20)
    path = f"ParquetSource.path = '{tmp_path}/a.parquet'"
    other = command.run(["gin/data/img2dataset.gin", "gin/filters/web.gin"], [path, NO_LIMIT], str(tmp_path / "b"))

    assert manifest["dropped"] == other["dropped"] == {"caption_file_name": 1, "image_undecodable": 2}
    assert (manifest["read"], manifest["written"]) == (64, 61)
    stored = examples(tmp_path / "a")
    assert stored == examples(tmp_path / "b")
    assert {caption: image for image, caption, _ in SHAPES}.items() <= stored.items()  # unchanged bytes


@pytest.mark.parametrize("mode", ["multi_threading", pytest.param("multi_processing", marks=pytest.mark.slow)])
def test_one_and_four_workers_and_any_row_order_give_the_same_bytes(tmp_path, mode):
    for name, pairs, count in (("ordered", rows(), 1), ("shuffled", random.Random(2).sample(rows(), 64), 5)):
        (tmp_path / name).mkdir()
        write_tars(tmp_path / name, pairs, count)
    built = {}
    four = f"('--runner=FnApiRunner', '--direct_num_workers=4', '--direct_running_mode={mode}')"
    for name, beam_args in (("ordered", "('--runner=FnApiRunner',)"), ("shuffled", four)):
        bindings = [f"WebDatasetSource.path = '{tmp_path}/{name}/*.tar'", f"Pipeline.beam_args = {beam_args}", NO_LIMIT]
        command.run(TARS, bindings, str(tmp_path / f"{name}_built"))
        built[name] = shards(tmp_path / f"{name}_built")
    assert built["ordered"] == built["shuffled"]
    assert len(built["ordered"]) == 12
    manifests = [json.loads((tmp_path / f"{name}_built" / "manifest.json").read_text()) for name in built]
    assert manifests[0] == manifests[1]


def test_number_of_shards_follows_shard_bytes_and_hosts(tmp_path):
    path = write_tars(tmp_path, rows(), 1)
    bindings = ["Ingest.shard_bytes = 4000", "Ingest.hosts = 3", "Ingest.shards = 1", "Pictures.stored_side = 48"]
    manifest = command.run(TARS, [path, NO_LIMIT, *bindings], str(tmp_path / "built"))
    files = {split: [shard for shard in manifest["shards"] if shard["split"] == split] for split in manifest["splits"]}
    assert all(len(found) % 3 == 0 for found in files.values())
    assert len(files["train"]) > len(files["eval"]) == 3
    assert all(shard["file"].endswith(f"-of-{len(files['train']):05d}") for shard in files["train"])
    assert sum(shard["bytes"] for shard in files["train"]) <= 4000 * len(files["train"])


def test_command_prints_the_counts_and_the_next_command(tmp_path):
    path, built = write_tars(tmp_path, rows(), 1), tmp_path / "built"
    files = [f"--gin_file={file}" for file in TARS]
    words = [sys.executable, "-m", "pipeline.build", *files, f"--gin_bindings={path}", f"--gin_bindings={NO_LIMIT}"]
    done = subprocess.run([*words, f"--output_dir={built}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert "64 rows read, 61 kept" in told[-2]
    assert "dropped: caption_file_name 1, image_undecodable 2" in told[-2]
    assert told[-1] == f"Look at it: python -m pipeline.inspect {built}"
    assert "WebDatasetSource.path" in (built / "config.gin").read_text()

    with pytest.raises(ValueError, match="holds a data set already; name another folder, or remove it"):
        command.run(TARS, [path], str(built))
    shown = contact_sheet.run(str(built), pictures=5, verify=True).splitlines()
    assert "          61  rows written" in shown
    assert shown[-1].endswith(f"pictures and captions are in {built}/contact_sheet.png")


def test_build_removes_files_of_a_stopped_run_and_no_others(tmp_path):
    path = write_tars(tmp_path, rows(), 1)
    left = tmp_path / "built" / "Split-train" / "data_tfrecord-00007-of-00009"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"an earlier run's")
    pictures = tmp_path / "built" / f"{spool.FOLDER}123" / "456"
    pictures.parent.mkdir()
    pictures.write_bytes(b"an earlier run's")
    (tmp_path / "built" / "notes.txt").write_text("mine")
    command.run(TARS, [path, NO_LIMIT], str(tmp_path / "built"))
    assert not left.exists()
    assert not pictures.parent.exists()
    assert (tmp_path / "built" / "notes.txt").read_text() == "mine"


def test_build_that_keeps_no_row_fails_with_the_reasons(tmp_path):
    path = write_tars(tmp_path, BROKEN, 1)
    with pytest.raises(ValueError, match=r"no row was kept: 3 rows read, 0 kept .*image_undecodable 2; see .*rejects"):
        command.run(TARS, [path], str(tmp_path / "built"))


def test_inspect_draws_the_pictures_and_finds_a_changed_shard(tmp_path):
    pairs = [(draw_shape("red", "square", "middle", "large"), f"square number {i}") for i in range(20)]
    path = write_tars(tmp_path, pairs, 1)
    built = tmp_path / "built"
    manifest = command.run(TARS, [path, NO_LIMIT], str(built))
    contact_sheet.run(str(built), pictures=5, verify=True)
    sheet = Image.open(built / contact_sheet.SHEET_FILE).convert("RGB")
    reds = sum(count for count, (red, green, blue) in sheet.getcolors(1 << 24) if red > 180 and green < 60)
    contact_sheet.run(str(built), pictures=10)
    more = Image.open(built / contact_sheet.SHEET_FILE).convert("RGB")
    assert sum(n for n, (r, g, b) in more.getcolors(1 << 24) if r > 180 and g < 60) == 2 * reds > 0
    shard = built / manifest["shards"][0]["file"]
    shard.write_bytes(shard.read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"has the checksum .* build the data set again"):
        contact_sheet.run(str(built), pictures=5, verify=True)
    shard.write_bytes(shard.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"a shard is missing or damaged \(.*\); build the data set again"):
        contact_sheet.run(str(built), pictures=50)
    shard.unlink()
    with pytest.raises(ValueError, match=r"a shard is missing or damaged \(.*\); build the data set again"):
        contact_sheet.run(str(built), pictures=5, verify=True)
    with pytest.raises(ValueError, match=r"has no manifest.json; name a folder that python -m pipeline.build has"):
        contact_sheet.run(str(tmp_path), pictures=5)


def test_all_parts_that_gin_switches_on_run_and_finished_parts_are_kept(tmp_path, capsys):
    pairs = [*rows(), (rows()[0][0], "a second row with the picture of the first")]
    path = write_tars(tmp_path, pairs, 1)
    more = [
        "Pipeline.deduper = @Deduper()",
        "Deduper.image_distance = -1",
        "Pipeline.augmenter = @Augmenter()",
        "Augmenter.views = ('grey',)",
    ]
    folder = tmp_path / "plane"
    manifest = command.run(TARS, [path, NO_LIMIT, *more], str(folder))
    told = capsys.readouterr().out
    assert [f"[{number}/3]" in told for number in (1, 2, 3)] == [True] * 3
    assert f"python -m pipeline.inspect {folder}/augmented" in told
    parts = {name: json.loads((folder / name / "manifest.json").read_text())
             for name in ("built", "deduplicated", "augmented")}  # fmt: skip
    assert parts["deduplicated"]["dropped"]["duplicate"] == 1
    assert parts["augmented"] == manifest
    assert manifest["written"] > parts["deduplicated"]["written"]

    before, when = shards(folder / "augmented"), (folder / "built" / "manifest.json").stat().st_mtime_ns
    shutil.rmtree(folder / "augmented")
    command.run(TARS, [path, NO_LIMIT, *more], str(folder))
    assert shards(folder / "augmented") == before
    assert (folder / "built" / "manifest.json").stat().st_mtime_ns == when
    shutil.rmtree(folder / "augmented")
    with pytest.raises(ValueError, match="built holds a data set already"):  # from other input
        command.run(TARS, [write_tars(tmp_path, pairs[1:], 1), NO_LIMIT, *more], str(folder))


def test_build_that_kept_no_row_does_not_block_the_next(tmp_path):
    path = write_tars(tmp_path, rows(), 1)
    with pytest.raises(ValueError, match="no row was kept"):
        command.run(TARS, [path, NO_LIMIT, "Pictures.min_side = 4000"], str(tmp_path / "built"))
    assert command.run(TARS, [path, NO_LIMIT], str(tmp_path / "built"))["written"] == 61


def test_second_run_into_the_same_folder_is_refused(tmp_path):
    path = write_tars(tmp_path, rows(), 1)
    folder = tmp_path / "built"
    folder.mkdir()
    running = rf"another run writes to --output_dir=.*: process {os.getpid()} on .*, since 20.* UTC; wait until"
    with output_folder.alone(str(folder)), pytest.raises(ValueError, match=running):
        command.run(TARS, [path, NO_LIMIT], str(folder))
    assert command.run(TARS, [path, NO_LIMIT], str(folder))["written"] == 61  # control: after the other run has ended
    assert not (folder / ".running").exists()
    with pytest.raises(OSError, match="failed"), output_folder.alone(str(folder)):
        raise OSError("failed")
    assert not (folder / ".running").exists()


def test_bucket_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match=r"--output_dir=gs://bucket/a is not a folder of this machine"):
        command.run(TARS, [], "gs://bucket/a")


def test_a_changed_evaluation_set_of_the_deduper_is_another_part(tmp_path):
    for name in ("rows", "set"):
        (tmp_path / name).mkdir()
    rows, shard = tmp_path / "rows" / "a.jsonl", tmp_path / "set" / "Split-eval" / "data.gz"
    rows.write_text("{}\n")
    shard.parent.mkdir()
    deduper = DeduperSettings(evaluation_sets={"coco": str(tmp_path / "set")})
    settings = PipelineSettings(image_text_gen=ImageTextGenSettings(JsonlSource(str(rows))), deduper=deduper)
    found = []
    for content in (b"one", b"one", b"another"):
        if not shard.exists() or shard.read_bytes() != content:
            shard.write_bytes(content)
        found.append(command._parts(settings)["deduplicated"][0])
    assert found[0] == found[1] != found[2]
