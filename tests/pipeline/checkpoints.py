"""Checkpoints that a process under test writes."""

import pathlib
import subprocess
import time


def steps(folder: pathlib.Path) -> list[int]:
    """Steps of the complete checkpoints below the folder of all runs, sorted."""
    return sorted(int(path.parent.name.removeprefix("step-")) for path in folder.glob("*/step-*/progress.json"))


def wait_for_one(folder: pathlib.Path, process: subprocess.Popen, after: int) -> None:
    """Returns when there is a checkpoint of a step above `after`; fails if the process ends before."""
    while max(steps(folder), default=0) <= after:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
