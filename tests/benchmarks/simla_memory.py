"""Peak memory of a step of Simla with the towers of gin/model/tiny.gin: the whole batch at once, and in micro-batches.

itm keeps the image tokens of the whole batch alive, and encodes two more pairs a row, whatever the micro-batches.

python -m tests.benchmarks.simla_memory M B TERM...    prints by how many bytes a step raises the memory of a process
"""

import dataclasses
import os
import subprocess
import sys

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests import memory

_SETS = {"all terms": ("itc", "itm", "mlm", "mim", "psl"), "without itm": ("itc", "mlm", "mim", "psl")}
_MICRO_BATCHES = (1, 4)


def measure(batch: int = 256) -> dict[tuple[str, int], int]:
    """{set of terms, number of micro-batches: bytes}, each in a process of its own."""
    found = {}
    for name, terms in _SETS.items():
        for micro_batches in _MICRO_BATCHES:
            command = [sys.executable, "-m", "tests.benchmarks.simla_memory", str(micro_batches), str(batch), *terms]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name, micro_batches] = int(done.stdout.split()[-1])
    return found


def run(batch: int = 256) -> list[str]:
    """The lines of a table, in MB."""
    found = measure(batch)
    lines = [f"peak memory of a step of Simla, |B| = {batch}, MB", " " * 16 + f"{'whole batch':>16}{'M = 4':>16}"]
    for name in _SETS:
        lines.append(f"{name:<16}" + "".join(f"{found[name, count] / 1e6:16.0f}" for count in _MICRO_BATCHES))
    return lines


def _measure(micro_batches: int, batch: int, *terms: str) -> int:
    from tests.benchmarks import simlas, steps

    config = dataclasses.replace(simlas.config(*terms), batch_size=batch, micro_batches=micro_batches)
    step = steps.step_of(config)  # runs a step, so that nothing is traced and compiled in the next one
    before = memory.forget_peak()
    step()
    return memory.peak_bytes() - before


if __name__ == "__main__":
    os.environ.update(memory.GIVES_BACK)  # before TensorFlow is imported
    print(_measure(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
