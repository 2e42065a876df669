"""VisualCodebook killed by kill -9 leaves no part of a codebook, and the next run gives the same bytes."""

import pathlib
import random
import subprocess
import sys
import time

import pytest

from models.layers.visual_codes import CODEBOOK_FILE
from tests.pipeline.conftest import ROOT

_RUN = """
import pathlib, sys
from tests.components import test_visual_codebook as rows

run = rows.executor.Executor.run

def told(*given):
    print("begins", flush=True)
    run(*given)

rows.executor.Executor.run = told
rows.made(pathlib.Path(sys.argv[1]), examples=rows.EXAMPLES, codes=64, patches=1500)
"""


def started(folder: pathlib.Path) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", _RUN, folder], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begins\n"
    return process


@pytest.mark.slow
def test_a_killed_component_leaves_nothing_half_and_the_next_run_gives_the_same_bytes(tmp_path):
    begun = time.monotonic()
    assert started(tmp_path / "unbroken").wait() == 0
    whole = (tmp_path / "unbroken" / "codebook" / CODEBOOK_FILE).read_bytes()
    longest, moments, killed = time.monotonic() - begun, random.Random(1), 0
    for number in range(5):
        path = tmp_path / "killed" / "codebook" / CODEBOOK_FILE
        process = started(tmp_path / "killed")
        time.sleep(moments.uniform(0, 0.2 * longest))
        process.kill()
        killed += process.wait() != 0
        print(f"kill {number}: {'in' if process.returncode else 'after'} the run; codebook: {path.exists()}")
        assert not path.exists() or path.read_bytes() == whole
    assert killed  # control: some kill came in time
    assert started(tmp_path / "killed").wait() == 0
    assert path.read_bytes() == whole
