"""Mutated files: every line and row is read or rejected; no file crashes or hangs a reader, or takes its memory."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.beam.sources import mutated_files

ROOT = pathlib.Path(__file__).parents[3]


def read_in_a_process(kind: str, folder: pathlib.Path, count: int) -> dict:
    """The counts of mutated_files, which a process of its own prints, so that a crash fails only this test."""
    command = [sys.executable, "-m", "tests.beam.sources.mutated_files", kind, str(folder), f"--count={count}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"file {(folder / 'number').read_text()}: {done.stderr[-3000:]}"
    return json.loads(done.stdout.splitlines()[-1])


def require_sound(counts: dict, count: int) -> None:
    reasons = {name: value for name, value in counts.items() if name.startswith(("invalid_", "damaged_", "caption_"))}
    assert counts["files"] == count
    assert counts["written"] > count
    assert counts["read"] >= counts["written"] + sum(reasons.values())
    assert reasons
    assert counts["peak_megabytes"] < 1000
    print(counts)


@pytest.mark.parametrize("kind", mutated_files.FORMATS)
def test_mutated_files_are_read_or_rejected(tmp_path, kind):
    counts = mutated_files.run(kind, 60, 0, tmp_path)
    require_sound({**counts, "peak_megabytes": 0}, 60)


@pytest.mark.slow
@pytest.mark.parametrize("kind", mutated_files.FORMATS)
def test_5000_mutated_files_of_each_format_are_read_or_rejected(tmp_path, kind, record_property):
    counts = read_in_a_process(kind, tmp_path, 5000)
    record_property("counts", counts)
    require_sound(counts, 5000)
