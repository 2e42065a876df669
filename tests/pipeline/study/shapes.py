"""A study on drawn shapes, in one output folder; it is also a script, so that a test can kill it.

python -m tests.pipeline.study.shapes STUDY.gin OUTPUT JOBS
"""

import contextlib
import csv
import json
import multiprocessing
import pathlib
import subprocess
import sys
from multiprocessing import forkserver
from typing import Any

from pipeline.study import study
from pipeline.study.settings import DATA_FOLDER
from tests.pipeline.conftest import GIN, ROOT, Project

TINY = ("ImageTower.depth = 1", "TextTower.depth = 1", "Logging.held_out_every = 0", "Logging.every = 2")
LOSS = {"sigmoid": "Training.objective = @Siglip()", "softmax": "Training.objective = @Softmax()"}


class ShapesStudy:
    """A gin file with its base and its data, and what the study has written."""

    def __init__(self, folder: pathlib.Path, axes: dict[str, dict], *lines: str, steps: int = 5) -> None:
        project = Project(folder)
        self.folder, self.path, self._axes, self._lines = folder, folder / "shapes.gin", axes, lines
        self.own = folder / "output" / "shapes" / "study"
        self.artifacts = folder / "output" / DATA_FOLDER / "artifacts"
        bindings = project.bindings(*TINY, f"Training.steps = {steps}", "Schedule.warmup_steps = 1")
        (folder / "base.gin").write_text("\n".join([f"include '{GIN}'", *bindings]) + "\n")
        self.write()

    def write(self, axes: dict[str, dict] | None = None, *more: str) -> None:
        """Writes the gin file again, with other axes if they are given."""
        self._axes = axes or self._axes
        text = ["Study.name = 'shapes'", "Study.base = ('base.gin',)"]
        text += [f"Study.axes = ({' '.join(f'@{name}/Axis(),' for name in self._axes)})"]
        for name, points in self._axes.items():
            text += [f"{name}/Axis.name = '{name}'", f"{name}/Axis.points = {points!r}"]
        self.path.write_text("\n".join([*text, *self._lines, *more]) + "\n")

    def run(self, jobs: int = 2, only: str = "") -> bool:
        _stop_fork_server()
        options = study.Options(str(self.folder / "output"), jobs=jobs, only=only, command="python -m pipeline.study")
        return study.run([str(self.path)], [], options)

    def start(self, jobs: int = 1) -> subprocess.Popen:
        """Starts the study in a session of its own."""
        command = [sys.executable, "-m", __name__, str(self.path), str(self.folder / "output"), str(jobs)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, cwd=ROOT, text=True, start_new_session=True, **pipes)

    def facts(self) -> dict[str, Any]:
        return json.loads((self.own / "results.json").read_text())

    def table(self) -> list[dict[str, str]]:
        """The rows of results.csv, without what depends on the speed of the machine."""
        with (self.own / "results.csv").open() as file:
            rows = list(csv.DictReader(file))
        times = ("seconds", "examples_per_second", "peak_memory_bytes")
        return [{key: value for key, value in row.items() if key not in times} for row in rows]

    def results(self) -> dict[str, int]:
        """{run: time of change of its result, in nanoseconds}."""
        return {f"{p.parts[-3]}/{p.parts[-2]}": p.stat().st_mtime_ns for p in self.own.glob("*/seed-*/result.json")}


def _stop_fork_server() -> None:
    """A command runs one study, in whose temporary folder the fork server has its socket; a test runs several."""
    with contextlib.suppress(FileNotFoundError):
        forkserver._forkserver._stop()
    multiprocessing.current_process()._config.pop("tempdir", None)


if __name__ == "__main__":
    sys.exit(not study.run([sys.argv[1]], [], study.Options(sys.argv[2], jobs=int(sys.argv[3]))))
