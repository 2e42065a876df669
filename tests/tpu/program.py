"""One replica's program on disk, for tests.tpu.replicas and tests.tpu.aot.

A folder has program.hlo.pb, its text program.hlo.txt, program.json and, if it can run, inputs.npz. program.json has
`replicas`, the number of `steps` to run, the number of `arguments`, the names of `outputs` and `variables`, the
`dtypes` of variables, `updates` as {output: parameter}, the count of each of the `ops` in the traced graph, and the
model FLOP of a step (`flops`).
"""

import json
import pathlib
import re
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.python.distribute import values

from models.optimizers import parameters
from tests.tpu.extract import count_ops, extract


def write_program(
    folder: pathlib.Path,
    strategy: tf.distribute.Strategy,
    step: Callable[..., dict[str, tf.Tensor]],
    arguments: Sequence[np.ndarray | tf.TensorSpec],
    variables: Sequence[tf.Variable],
    steps: int = 0,
    **description: object,
) -> None:
    """Writes the program of strategy.run(step).

    Args:
      folder: created if it is missing.
      strategy: from tests.tpu.fake_strategy.
      step: a function of positional tensors.
      arguments: [replicas, ...] each; or specs of one replica's arguments, for programs that are only compiled.
      variables: all variables that the step may read; gives their names.
      steps: how many steps tests.tpu.replicas runs.
      description: more entries of program.json.
    """
    replicas = strategy.num_replicas_in_sync
    specs = [a if isinstance(a, tf.TensorSpec) else tf.TensorSpec(a.shape[1:], a.dtype) for a in arguments]
    names: list[str] = []

    def listed(*tensors: tf.Tensor) -> list[tf.Tensor]:
        outputs = step(*tensors)
        names[:] = list(outputs)
        return list(outputs.values())

    @tf.function(autograph=False)
    def on_all(*tensors: values.PerReplica) -> object:
        return strategy.run(listed, args=tensors)

    traced = on_all.get_concrete_function(*(values.PerReplicaSpec(*[spec] * replicas) for spec in specs))
    known = {id(_of_replica_0(variable).handle): parameters.name(variable) for variable in variables}
    handles = write_compiled(
        folder,
        replicas,
        extract(traced),
        specs,
        known,
        outputs=names,
        steps=steps,
        ops=dict(count_ops(traced)),
        **description,
    )
    if steps:
        given = {f"argument_{i}": value for i, value in enumerate(arguments)}
        np.savez(folder / "inputs.npz", **given, **{f"variable_{i}": _read(handle) for i, handle in enumerate(handles)})


def write_compiled(
    folder: pathlib.Path,
    replicas: int,
    function: Callable[..., list[tf.Tensor]],
    specs: Sequence[tf.TensorSpec],
    names: dict[int, str] | None = None,
    **description: object,
) -> list[tf.Tensor]:
    """Writes the program of a function that XLA can compile; returns the handles of the variables that it reads."""
    replica = tf.function(function, jit_compile=True, autograph=False)
    compiler_ir = replica.experimental_get_compiler_ir(*specs)
    hlo = compiler_ir(stage="hlo")
    handles = list(replica.get_concrete_function(*specs).captured_inputs)  # parameters after the arguments, in order
    description |= {
        "replicas": replicas,
        "arguments": len(specs),
        "variables": [names[id(handle)] for handle in handles],
        "dtypes": [_dtype(handle).name for handle in handles],
        "updates": {int(o): int(p) for o, p in re.findall(r"\{(\d+)\}: \((\d+), \{\}", hlo.split("\n", 1)[0])},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "program.hlo.pb").write_bytes(compiler_ir(stage="hlo_serialized"))
    (folder / "program.hlo.txt").write_text(hlo)
    (folder / "program.json").write_text(json.dumps(description))
    return handles


def _of_replica_0(variable: tf.Variable) -> tf.Variable:
    local = getattr(variable, "values", None)
    return local[0] if local else variable


def _dtype(handle: tf.Tensor) -> tf.DType:
    return tf.as_dtype(handle._handle_data.shape_and_type[0].dtype)


def _read(handle: tf.Tensor) -> np.ndarray:
    """The variable's value; bfloat16, which NumPy cannot save, becomes float32."""
    value = tf.raw_ops.ReadVariableOp(resource=handle, dtype=_dtype(handle))
    return tf.cast(value, tf.float32).numpy() if value.dtype == tf.bfloat16 else value.numpy()
