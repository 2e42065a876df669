"""Runs N copies of each program on N XLA:CPU devices, including collectives.

This script runs in .venv-tpu, which has jax and no TensorFlow:

    python replicas.py FOLDER...    each is a folder of tests.tpu.program, with inputs.npz

It writes results.npz to each folder: the outputs, [steps, replicas, ...], and as "variable/<name>" the variables after
the last step, [replicas, ...].
"""

import json
import os
import pathlib
import sys

import numpy as np


def load_program(folder):
    """The program as StableHLO, without mhlo.copy, which compilers refuse; call it in make_ir_context()."""
    from jaxlib import _jax
    from jaxlib.mlir import ir

    module = ir.Module.parse(_jax.mlir.hlo_to_stablehlo((folder / "program.hlo.pb").read_bytes()))
    copies = []

    def collect(op):
        if op.name == "mhlo.copy":
            copies.append(op)
        return ir.WalkResult.ADVANCE

    module.operation.walk(collect)
    for op in copies:
        op.results[0].replace_all_uses_with(op.operands[0])
        op.erase()
    return module


def replicated_options(replicas):
    """CompileOptions of one program that every device runs, replica i on device i."""
    from jax._src.lib import xla_client

    options = xla_client.CompileOptions()
    options.num_replicas, options.num_partitions = replicas, 1
    options.device_assignment = xla_client.DeviceAssignment.create(np.arange(replicas).reshape(-1, 1))
    return options


def run(folder, devices):
    import jax
    from jax._src.interpreters import mlir
    from jax._src.lib import xla_client

    description = json.loads((folder / "program.json").read_text())
    devices = devices[: description["replicas"]]
    with mlir.make_ir_context():
        executable = devices[0].client.compile_and_load(
            load_program(folder), xla_client.DeviceList(tuple(devices)), replicated_options(len(devices))
        )
    mesh = jax.sharding.Mesh(np.array(devices), ("replica",))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())

    def on_devices(copies):  # jax assumes that the copies are equal; each device keeps its own
        placed = [jax.device_put(copy, device) for copy, device in zip(copies, devices, strict=True)]
        return jax.make_array_from_single_device_arrays(copies[0].shape, everywhere, placed)

    inputs, names = np.load(folder / "inputs.npz"), description["outputs"]
    state = [list(inputs[f"argument_{i}"]) for i in range(description["arguments"])]
    for i, dtype in enumerate(description["dtypes"]):
        state.append([inputs[f"variable_{i}"].astype(np.dtype(dtype))] * len(devices))
    outputs = []
    for _ in range(description["steps"]):
        shards = executable.execute_sharded([on_devices(copies) for copies in state])
        results = [[np.array(copy) for copy in copies] for copies in shards.disassemble_into_single_device_arrays()]
        for output, parameter in description["updates"].items():
            state[parameter] = results[int(output)]
        outputs.append(results[: len(names)])
    found = {name: np.stack([np.stack(step[i]) for step in outputs]) for i, name in enumerate(names)}
    for name, copies in zip(description["variables"], state[description["arguments"] :], strict=True):
        found[f"variable/{name}"] = _savable(np.stack(copies))
    np.savez(folder / "results.npz", **found)


def _savable(array):
    """The array; bfloat16, which NumPy cannot save, becomes float32."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def main(folders):
    count = max(json.loads((folder / "program.json").read_text())["replicas"] for folder in folders)
    flags = f"--xla_force_host_platform_device_count={count}"
    os.environ.update(JAX_PLATFORMS="cpu", XLA_FLAGS=flags, JAX_ENABLE_X64="1")
    import jax

    for folder in folders:
        run(folder, jax.devices())


if __name__ == "__main__":
    main([pathlib.Path(name) for name in sys.argv[1:]])
