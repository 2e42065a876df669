"""The precision in which layers compute; their weights are always float32."""

import contextlib
from collections.abc import Iterator

import tf_keras as keras

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


@contextlib.contextmanager
def layers_compute_in(dtype: str) -> Iterator[None]:
    """Layers that are created in this context compute in `dtype`: "float32" or "bfloat16"."""
    usual = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(_POLICIES[dtype])
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(usual)
