"""How much memory of a TPU v4 chip the training step needs, as libtpu's compiler says.

`python -m tests.tpu.memory [NAME...]` prints a table. All rows take half an hour and 20 GB of this machine's memory.
The model is SigLIP Base: B/16 at 224 px, 64 tokens, a vocabulary of 32,000, bfloat16 towers, float32 weights,
Adafactor. The slice is v4 2x2x1, 4 chips of 30.75 GiB.
"""

import pathlib
import sys
import tempfile

from tests.tpu import commands

CHIP = 30.75 * 2**30  # bytes that libtpu allows a program
_BASE = {"kind": "model", "replicas": 4, "size": "base"}
CASES = {
    "4096": {"batch_size": 4096},
    "4096, no remat": {"batch_size": 4096, "remat": False},
    "8192": {"batch_size": 8192},
    "16384": {"batch_size": 16384},
    "16384, 4 micro-batches": {"batch_size": 16384, "micro_batches": 4},
}


def measure(folder: pathlib.Path, case: commands.Case) -> dict:
    """The output of tests/tpu/aot.py for one case."""
    commands.trace({folder: case})
    (result,) = commands.compile_for_tpu([folder])
    return result


def base(folder: pathlib.Path, name: str) -> dict:
    """The output of tests/tpu/aot.py for SigLIP Base, in the case `name` of CASES."""
    return measure(folder, {**_BASE, **CASES[name]})


def needed(result: dict) -> int:
    """Bytes on one chip: arguments, outputs that do not replace arguments, and temporaries."""
    return result["arguments"] + result["outputs"] - result["aliased"] + result["temporaries"]


def row(name: str, result: dict) -> str:
    """A row of the table; libtpu counts the FLOP of a loop's body, such as a micro-batch, only once."""
    if "refused" in result:
        return f"| {name} | refused: {result['refused'].splitlines()[0]} | | | | {result['seconds']:.0f} |"
    sizes = [result["arguments"], result["temporaries"], needed(result)]
    gib = " | ".join(f"{size / 2**30:.2f}" for size in sizes)
    return f"| {name} | {gib} | {result['flops']:.3g} | {result['seconds']:.0f} |"


if __name__ == "__main__":
    print("| global batch | arguments, GiB | temporaries, GiB | sum, GiB | FLOP a chip, loops once | compiled in, s |")
    print("|---|---|---|---|---|---|")
    for wanted in sys.argv[1:] or CASES:
        with tempfile.TemporaryDirectory() as scratch:
            print(row(wanted, base(pathlib.Path(scratch), wanted)), flush=True)
