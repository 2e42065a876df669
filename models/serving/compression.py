"""Weight-only compression of an exported model: a smaller file and less memory. The graph reads weights as float32."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from models.objectives.training_only import exported_variables

SUFFIX = "compressed"
DTYPES = ("float32", "bfloat16", "int8")
_MATRIX, _TABLE = "kernel", "embeddings"  # as Keras' layers call them


class CompressedWeights(tf.Module):
    """Compressed copies of the matrices of an objective's layers, which replace them while a function is traced.

    int8: symmetric, one float32 scale for each output channel (for each row of an embedding table). bfloat16: rounded.
    The layers read them in their own compute dtype.
    """

    def __init__(self, objective: Any, dtype: str) -> None:
        super().__init__(name=SUFFIX)
        places: list[tuple[Any, str]] = []  # (layer, attribute)
        self.stored: list[tuple[tf.Variable, ...]] = []
        replaced = set()
        for layer in objective.submodules:
            for attribute in (_MATRIX, _TABLE):
                variable = vars(layer).get(attribute)
                if isinstance(variable, tf.Variable):
                    places.append((layer, attribute))
                    self.stored.append(_stored(variable, dtype, _channels(layer, attribute)))
                    replaced.add(variable.ref())
        self._places = lambda: (
            places
        )  # untracked: otherwise the layers would be saved, with the weights that are replaced
        self.kept = [variable for variable in exported_variables(objective) if variable.ref() not in replaced]

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """In this context, the layers read the compressed weights."""
        places = zip(self._places(), self.stored, strict=True)
        replaced = [
            (layer, "call", _Lookup(stored, layer.compute_dtype))
            if attribute == _TABLE
            else (layer, attribute, tf.cast(_read(stored), layer.compute_dtype))
            for (layer, attribute), stored in places
        ]
        own = [vars(layer).pop(attribute, None) for layer, attribute, _ in replaced]
        try:  # not by setattr: Keras would take the weight for deleted
            for layer, attribute, value in replaced:
                vars(layer)[attribute] = value
            yield
        finally:
            for (layer, attribute, _), value in zip(replaced, own, strict=True):
                del vars(layer)[attribute]
                if value is not None:
                    vars(layer)[attribute] = value


class _Lookup:
    """Looks up rows of a compressed embedding table; decompresses only these rows."""

    def __init__(self, stored: tuple[tf.Variable, ...], dtype: str) -> None:
        self._stored, self._dtype = stored, dtype

    def __call__(self, ids: tf.Tensor) -> tf.Tensor:
        return tf.cast(_read(tuple(tf.gather(part, ids) for part in self._stored)), self._dtype)


def _channels(layer: Any, attribute: str) -> tuple[int, ...]:
    """The axes of a layer's matrix that are output channels; each channel has its own scale."""
    if attribute == _TABLE:
        return (0,)
    equation = getattr(layer, "equation", None)  # of EinsumDense, such as "abc,cde->abde"
    if equation is None:
        return (len(layer.kernel.shape) - 1,)
    inputs, output = equation.split("->")
    return tuple(i for i, letter in enumerate(inputs.split(",")[1]) if letter in output)


def _stored(variable: tf.Variable, dtype: str, channels: tuple[int, ...]) -> tuple[tf.Variable, ...]:
    name = f"{variable.name.split(':')[0]}/{SUFFIX}"
    if dtype == "bfloat16":
        return (tf.Variable(tf.cast(variable, tf.bfloat16), trainable=False, name=name),)
    values = variable.numpy()
    others = tuple(i for i in range(values.ndim) if i not in channels)
    scale = np.maximum(np.abs(values).max(axis=others, keepdims=True), 1e-12) / 127.0
    whole = np.clip(np.rint(values / scale), -127, 127).astype(np.int8)
    return (
        tf.Variable(whole, trainable=False, name=name),
        tf.Variable(scale.astype(np.float32), trainable=False, name=f"{name}_scale"),
    )


def _read(stored: tuple[Any, ...]) -> tf.Tensor:
    values = tf.cast(stored[0], tf.float32)
    return values if len(stored) == 1 else values * stored[1]
