"""Compiles parts of the step with XLA on a CPU, where compiling the whole step takes minutes and gains nothing.

A part is a small function of tensors without matrix products. XLA fuses its operations into few loops over memory. All
calls with the same shapes share one program, so compiling takes seconds, however deep the model is.

The step around the parts is exact, too: `in_parts` keeps TensorFlow from adding three or more tensors with AddN. AddN
adds into the first buffer that happens to be free, so its rounding changes from run to run.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import ParamSpec, TypeVar

import tensorflow as tf
from tensorflow.python.ops import gen_math_ops

P = ParamSpec("P")
Result = TypeVar("Result")

_compiles_parts = False


def keep_sums() -> None:
    """Keeps TensorFlow's graph optimiser from merging sums into AddN; call it before the step is traced."""
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


@contextlib.contextmanager
def in_parts() -> Iterator[None]:
    """A step that is traced in this context adds gradients in order, and XLA compiles its parts."""
    global _compiles_parts
    before, add_n = _compiles_parts, gen_math_ops.add_n
    _compiles_parts = True
    gen_math_ops.add_n = functools.partial(_add_in_order, add_n)  # tf.GradientTape calls it, and has no hook for it
    try:
        yield
    finally:
        _compiles_parts, gen_math_ops.add_n = before, add_n


def part(function: Callable[P, Result]) -> Callable[P, Result]:
    """Makes a function a part. It takes and returns tensors, reads no variable, and needs a custom gradient."""
    compiled = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Result:
        return compiled(*args, **kwargs) if _compiles_parts else function(*args, **kwargs)

    return call


def _add_in_order(add_n: Callable[..., tf.Tensor], inputs: Sequence[tf.Tensor], name: str | None = None) -> tf.Tensor:
    return add_n(inputs, name=name) if len(inputs) < 3 else _sum(*inputs)


@part
def _sum(*tensors: tf.Tensor) -> tf.Tensor:
    return functools.reduce(tf.add, tensors)
