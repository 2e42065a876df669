"""The build with two worker processes, compared with one, on a machine with two cores."""

import os
import pathlib
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests.benchmarks.build import build, write_tar
from tests.benchmarks.measure import Ratio, ratio

_FILES, _ROWS, _SIDE = 8, 2000, 256  # many rows, so that the processes' start of ten seconds hardly counts


def run(rounds: int = 3) -> Ratio:
    """The ratio of times, which include the start of processes; .5 would be perfect."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for number in range(_FILES):
            write_tar(folder / f"{number}.tar", _ROWS, _SIDE, first=number * _ROWS)

        def built_by(workers: int) -> None:
            flags = ["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"]
            build(folder / "*.tar", folder / f"by_{workers}", *flags)

        title = f"build of {_FILES * _ROWS:,} rows by 2 worker processes / by 1"
        return ratio(title, lambda: built_by(2), lambda: built_by(1), rounds, limit=0.9)


if __name__ == "__main__":
    print(run(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
