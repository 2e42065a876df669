"""The data plane compared with other projects, on one core: a build with img2dataset, batches with webdataset."""

import json
import os
import pathlib
import tempfile
from typing import Any

from components.vocabulary_trainer.executor import train
from tests.benchmarks import alternation, environments
from tests.benchmarks.build import build, write_tar

_ROWS, _STORED_SIDE, _SIDE = 4096, 256, 224
_TIMES = 3


def run(rounds: int, rows: int = _ROWS) -> list[str]:
    """Lines with the times of all loops, and the ratios."""
    lines = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_tar(folder / "a.tar", rows, _STORED_SIDE)
        build(folder / "a.tar", folder / "built")
        (folder / "vocabulary.model").write_bytes(train([f"picture {number}" for number in range(1000)], 300))
        common = {"tar": str(folder / "a.tar"), "rows": rows, "times": _TIMES}
        building = common | {"folder": name}
        reading = common | {
            "shards": [str(path) for path in sorted((folder / "built" / "Split-train").iterdir())],
            "vocabulary": str(folder / "vocabulary.model"),
            "side": _SIDE,
            "length": 16,
            "batch_size": 64,
        }
        title = f"{rows:,} rows of {_STORED_SIDE} px JPEG on one core, {rounds} rounds of {_TIMES}"
        lines.append(f"build of {title} (img2dataset writes {_SIDE} px, ours keeps the picture)")
        lines += _compared("build_ours.py", "img2dataset", "build_img2dataset.py", building, rounds)
        lines.append(f"batches of {_SIDE} px from {title} (ours also tokenises)")
        lines += _compared("read_ours.py", "webdataset", "read_webdataset.py", reading, rounds)
    return lines


def _compared(ours: str, peer: str, script: str, work: dict[str, Any], rounds: int) -> list[str]:
    argument = json.dumps(work)
    competitors = [environments.ours(ours, argument), environments.peer(peer, script, argument)]
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # the processes inherit it
    try:
        lines, ratio = alternation.compare(competitors, rounds, unit=f"for {work['rows']:,} rows", sized="rows")
    finally:
        os.sched_setaffinity(0, cores)
    return [f"  {line}" for line in [*lines, ratio or "no peer was measured"]]
