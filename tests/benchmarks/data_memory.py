"""Memory and CPU time of a row in each part of the data plane, and what CC12M takes on one machine.

`python -m tests.benchmarks.data_memory 1000000` measures a million rows (an hour).
"""

import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image

from beam import store

PARTS = ("build", "dedupe", "augment")
_SIDE, _FEW, _CC12M = 96, 1000, 12_000_000


def run(rows: int = 100_000) -> str:
    """A line for each part. Each runs in two processes of its own, with few rows and with all."""
    lines, seconds, most = [f"{rows:,} rows, {_SIDE} px JPEG with a key and a caption, one worker"], 0.0, 0.0
    with tempfile.TemporaryDirectory() as name:
        folders = {count: pathlib.Path(name, str(count)) for count in (_FEW, rows)}
        for count, folder in folders.items():
            folder.mkdir()
            _write_tar(folder / "a.tar", count)
        for part in PARTS:
            few, all_rows = (_measured(part, folder) for folder in folders.values())
            each = (all_rows["bytes"] - few["bytes"]) / (rows - _FEW)
            cpu = (all_rows["seconds"] - few["seconds"]) / (rows - _FEW)
            seconds, most = seconds + cpu * _CC12M, max(most, few["bytes"] + each * _CC12M)
            peak = f"{few['bytes'] / 1e6:,.0f} MB at {_FEW:,} rows, {all_rows['bytes'] / 1e6:,.0f} MB at {rows:,}"
            lines.append(f"  {part}: {each:,.0f} bytes of memory and {1e3 * cpu:.2f} ms of CPU a row; peak {peak}")
    hours, gigabytes = seconds / 3600, most / 1e9
    lines.append(f"  {_CC12M:,} rows at this rate: {hours:,.1f} core hours of all parts, {gigabytes:,.1f} GB of memory")
    return "\n".join(lines)


def _write_tar(path: pathlib.Path, rows: int) -> None:
    """Writes a WebDataset of pictures that all differ."""
    draw = np.random.default_rng(0)
    with tarfile.open(path, "w") as tar:
        for number in range(rows):
            picture, stream = Image.fromarray(draw.integers(0, 256, (6, 6, 3), np.uint8)), io.BytesIO()
            picture.resize((_SIDE, _SIDE)).save(stream, "JPEG", quality=90)
            for name, content in ((f"{number}.jpg", stream.getvalue()), (f"{number}.txt", b"picture %d" % number)):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def _measured(part: str, folder: pathlib.Path) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.data_memory", part, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _run_part(part: str, folder: pathlib.Path) -> dict[str, float]:
    """Runs a part in this process; returns its peak of memory in bytes, and its CPU time in seconds."""
    import apache_beam

    from beam import build
    from beam.augment.augment import Augment, AugmenterSettings
    from beam.dedupe import DeduperSettings, Deduplicate
    from beam.sources import WebDatasetSource

    settings = build.ImageTextGenSettings(WebDatasetSource(str(folder / "a.tar")), salt="bench", compression="")
    target, built = str(folder / part), str(folder / "build")
    folders = store.Folders(built, target, target)
    stages = {
        "build": build.Build(settings, target, target),
        "dedupe": Deduplicate(DeduperSettings(), settings.layout, folders),
        "augment": Augment(AugmenterSettings(views=("flip",)), settings.layout, folders),
    }
    start = time.process_time()
    with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
        pipeline | stages[part]
    # Not ru_maxrss, because that starts from the value of the parent process.
    peak = int(re.findall(r"VmHWM:\s+(\d+) kB", pathlib.Path("/proc/self/status").read_text())[0]) * 1024
    return {"bytes": peak, "seconds": time.process_time() - start}


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in PARTS:
        print(json.dumps(_run_part(sys.argv[1], pathlib.Path(sys.argv[2]))))
    else:
        print(run(*map(int, sys.argv[1:])))
