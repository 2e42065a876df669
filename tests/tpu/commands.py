"""The three commands behind the TPU tests, each in its own process: trace (TensorFlow), run and compile (jax)."""

import fcntl
import functools
import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping

ROOT = pathlib.Path(__file__).parents[2]
HERE = pathlib.Path(__file__).parent
Case = Mapping[str, object]


def trace(cases: Mapping[pathlib.Path, Case]) -> None:
    """Writes the program of each case to its folder (tests.tpu.trace)."""
    wanted = json.dumps({str(folder): dict(case) for folder, case in cases.items()})
    _output([sys.executable, "-m", "tests.tpu.trace", wanted])


def run(folders: Iterable[pathlib.Path]) -> None:
    """Runs programs on XLA:CPU; each folder gets results.npz (tests/tpu/replicas.py)."""
    _output([_python(), str(HERE / "replicas.py"), *map(str, folders)])


def compile_for_tpu(folders: Iterable[pathlib.Path]) -> list[dict]:
    """Compiles programs for TPU v4; returns the output of tests/tpu/aot.py for each. One process at a time runs it."""
    with open(pathlib.Path(tempfile.gettempdir()) / "siglip-tfx-libtpu.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        output = _output([_python(), str(HERE / "aot.py"), *map(str, folders)])
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")]


@functools.cache
def _python() -> str:
    """The interpreter of .venv-tpu, which is created if it is missing or outdated."""
    _output([str(ROOT / "requirements" / "make_tpu_venv.sh")])
    return str(ROOT / ".venv-tpu" / "bin" / "python")


def _output(command: list[str]) -> str:
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)[:500]} ended with {process.returncode}: {process.stderr[-5000:]}")
    return process.stdout
