"""Compiles programs for TPU v4 with libtpu, with no TPU attached.

This script runs in .venv-tpu, which has jax and no TensorFlow:

    python aot.py FOLDER...    each is a folder of tests.tpu.program, for 4, 16, 64 or 256 replicas

It prints a line of JSON for each folder. `arguments`, `outputs` and `temporaries` are bytes on one chip; `aliased` are
the bytes of outputs that replace arguments. `peak` are the bytes that live at once, without the gaps between them.
`flops` are as the compiler counts them. `permutes`, `sums` and `gathers` count the collectives of the program.
`seconds` is the time of compilation. If the program does not fit, the line has `refused` instead: libtpu's message.
libtpu's warning about worker hostnames is harmless.
"""

import json
import os
import pathlib
import re
import sys
import time

# Otherwise, the lock that allows one process to a TPU would allow only one to compile.
os.environ.update(TPU_SKIP_MDS_QUERY="1", JAX_PLATFORMS="cpu", ALLOW_MULTIPLE_LIBTPU_LOAD="1")

from jax._src.interpreters import mlir
from jax._src.lib import xla_client
from jax.experimental import topologies
from replicas import load_program, replicated_options

TOPOLOGY = {4: "v4:2x2x1", 16: "v4:2x2x4", 64: "v4:4x4x4", 256: "v4:4x8x8"}


def compile_for_tpu(folder):
    replicas = json.loads((folder / "program.json").read_text())["replicas"]
    name = TOPOLOGY[replicas]  # with megacore, a chip is one device
    devices = topologies.get_topology_desc(platform="tpu", topology_name=name, chip_config_name="megacore").devices
    if len(devices) != replicas:
        raise ValueError(f"{name} has {len(devices)} devices, but {folder} is a program for {replicas}")
    start = time.monotonic()
    with mlir.make_ir_context():
        module, options = load_program(folder), replicated_options(replicas)
        try:
            executable = devices[0].client.compile(module, xla_client.DeviceList(tuple(devices)), options)
        except Exception as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            return {"refused": str(error)[:1000], "seconds": time.monotonic() - start}
    text = executable.hlo_modules()[0].to_string()
    memory = executable.get_compiled_memory_stats()
    return {
        "arguments": memory.argument_size_in_bytes,
        "outputs": memory.output_size_in_bytes,
        "aliased": memory.alias_size_in_bytes,
        "temporaries": memory.temp_size_in_bytes,
        "peak": memory.peak_memory_in_bytes,
        "flops": executable.cost_analysis()["flops"],
        "permutes": _count("collective-permute", text),
        "sums": _count("all-reduce", text),
        "gathers": _count("all-gather", text) + _count("all-to-all", text),
        "seconds": time.monotonic() - start,
    }


def _count(op, text):
    return len(re.findall(rf" {op}(?:-start)?\(", text))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(json.dumps({"folder": argument, **compile_for_tpu(pathlib.Path(argument))}), flush=True)
