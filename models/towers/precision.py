"""The precision in which layers compute; their weights are always float32."""

import contextlib
from collections.abc import Iterator

import tf_keras as keras

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def layers_compute_in(dtype: str) -> contextlib.AbstractContextManager[None]:
    """Layers that are created in this context compute in `dtype`: "float32" or "bfloat16"."""
    return layers_with_policy(_POLICIES[dtype])


@contextlib.contextmanager
def layers_with_policy(policy: str) -> Iterator[None]:
    """Layers that are created in this context have this policy of Keras, such as "float64"."""
    usual = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(usual)
