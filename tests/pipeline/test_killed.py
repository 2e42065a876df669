"""A build that kill -9 ends leaves no partial file under a final name; the next run writes all bytes."""

import base64
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from beam import spool
from pipeline import build as command
from tests.beam import stored
from tests.pictures import shape_pairs
from tests.pipeline.conftest import ROOT

_SLOW = """
import sys, time

import models
import tensorflow as tf
from beam import spool
from pipeline import build as command

write, process = tf.io.TFRecordWriter.write, spool._Write.process


def write_slowly(self, record):
    time.sleep(0.02)
    write(self, record)


def process_slowly(self, pictured):
    time.sleep(0.02)
    yield from process(self, pictured)


if sys.argv[1] == "shards":
    tf.io.TFRecordWriter.write = write_slowly
else:
    spool._Write.process = process_slowly
command.run(["gin/data/jsonl.gin"], [sys.argv[2]], sys.argv[3])
"""


@pytest.mark.parametrize(
    ("when", "seen"),
    [pytest.param("pictures", f"{spool.FOLDER}*/*", marks=pytest.mark.slow), ("shards", ".unfinished-*")],
)
def test_killed_build_leaves_no_partial_shard_and_the_next_run_writes_all(tmp_path, when, seen):
    rows = [
        {"image_base64": base64.b64encode(image).decode(), "caption": caption}
        for image, caption, _ in shape_pairs()[:120]
    ]
    stored.write_jsonl(tmp_path / "a.jsonl", rows)
    path, folder = f"JsonlSource.path = '{tmp_path}/a.jsonl'", tmp_path / "killed"
    command.run(["gin/data/jsonl.gin"], [path], str(tmp_path / "unbroken"))
    expected = stored.checksums(tmp_path / "unbroken", "*")

    process = subprocess.Popen([sys.executable, "-c", _SLOW, when, path, str(folder)], cwd=ROOT)
    while not list(folder.rglob(seen)):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    time.sleep(0.1)
    os.kill(process.pid, 9)
    process.wait()
    finished = _visible(stored.checksums(folder, "*"))
    assert len(finished) < len(expected)
    assert finished.items() <= expected.items()
    left = [name for name in stored.checksums(folder, "*") if name not in finished]
    assert left  # control: some files were unfinished

    manifest = command.run(["gin/data/jsonl.gin"], [path], str(folder))
    assert stored.checksums(folder, "*") == expected
    assert manifest == json.loads((tmp_path / "unbroken" / "manifest.json").read_text())
    assert not [file for file in folder.rglob("*") if file.name.startswith(".")]


def _visible(sums: dict[str, str]) -> dict[str, str]:
    hidden = [name for name in sums if any(part[0] == "." for part in pathlib.PurePath(name).parts)]
    return {name: sums[name] for name in sums if name not in hidden}
