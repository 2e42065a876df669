"""How much memory of a TPU v4 chip the training step needs, as libtpu's compiler says.

`python -m tests.tpu.memory [NAME...]` prints a table. All rows take hours and 20 GB of this machine's memory.
The model is SigLIP Base: B/16 at 224 px, 64 tokens, a vocabulary of 32,000, bfloat16 towers, float32 weights,
Adafactor. "siglit_b8_l" and "siglit_g14_l" are files of gin/recipe, as they are. The slice is v4 2x2x1, 4 chips of
30.75 GiB. "loss" is the sigmoid loss alone, with its gradients, for embeddings of 768 numbers on 4x8x8, 256 chips.
"""

import json
import pathlib
import sys
import tempfile

from tests.tpu import commands

CHIP = 30.75 * 2**30  # bytes that libtpu allows a program
_PEAK = 275e12  # bfloat16 FLOP/s of a TPU v4 chip (Google Cloud's TPU v4 page)
_BASE = {"kind": "model", "replicas": 4, "size": "base"}
CASES = {
    "4096": {**_BASE, "batch_size": 4096},
    "4096-nothing": {**_BASE, "batch_size": 4096, "remat": "nothing"},
    "4096-attention": {**_BASE, "batch_size": 4096, "remat": "attention"},
    "4096-scan": {**_BASE, "batch_size": 4096, "remat": "scan"},
    "8192": {**_BASE, "batch_size": 8192},
    "8192-scan": {**_BASE, "batch_size": 8192, "remat": "scan"},
    "16384": {**_BASE, "batch_size": 16384},
    "16384-scan": {**_BASE, "batch_size": 16384, "remat": "scan"},
    "16384-pieces": {**_BASE, "batch_size": 16384, "remat": "pieces"},
    "16384-micro-batches": {**_BASE, "batch_size": 16384, "micro_batches": 4},
    "32768-siglit-precomputed": {**_BASE, "size": "siglit", "batch_size": 32768},
    "siglit_b8_l": {"kind": "recipe", "replicas": 4, "name": "siglit_b8_l"},
    "siglit_g14_l": {"kind": "recipe", "replicas": 4, "name": "siglit_g14_l"},
    "1048576-loss": {"kind": "loss", "replicas": 256, "form": "loop", "rows": 4096, "width": 768},
}


def measure(folder: pathlib.Path, case: commands.Case) -> dict:
    """The output of tests/tpu/aot.py for one case, with `model_flops` of a step on one chip."""
    commands.trace({folder: case})
    (result,) = commands.compile_for_tpu([folder])
    described = json.loads((folder / "program.json").read_text())
    return {**result, "model_flops": described.get("flops", 0) / described["replicas"]}


def needed(result: dict) -> int:
    """Bytes on one chip: arguments, outputs that do not replace arguments, and temporaries."""
    return result["arguments"] + result["outputs"] - result["aliased"] + result["temporaries"]


def row(name: str, result: dict) -> str:
    """A row of the table; libtpu counts the FLOP of a loop's body, such as a micro-batch, only once."""
    at = [f"{result['model_flops'] / _PEAK / share * 1e3:,.0f}" for share in (1, 0.6, 0.4)]
    speed = f"{result['model_flops']:.3g} | {' / '.join(at)} | {result['seconds']:.0f}"
    if "refused" in result:
        return f"| {name} | refused: {result['refused'].splitlines()[0]} | | | | {speed} |"
    sizes = [result["arguments"], result["temporaries"], needed(result), result["peak"]]
    gib = " | ".join(f"{size / 2**30:.2f}" for size in sizes)
    return f"| {name} | {gib} | {speed} |"


if __name__ == "__main__":
    columns = "global batch", "arguments, GiB", "temporaries, GiB", "sum, GiB", "peak, GiB"
    speed = "model FLOP a chip", "ms at 100 / 60 / 40 % MFU", "compiled in, s"
    print(f"| {' | '.join([*columns, *speed])} |")
    print("|---" * len([*columns, *speed]) + "|")
    for wanted in sys.argv[1:] or CASES:
        with tempfile.TemporaryDirectory() as scratch:
            print(row(wanted, measure(pathlib.Path(scratch), CASES[wanted])), flush=True)
