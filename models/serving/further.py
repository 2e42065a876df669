"""The served form of an objective's own signatures: encoded pictures and raw texts in, as `Signature` says."""

import contextlib
from collections.abc import Callable, Mapping

import tensorflow as tf

from models.objectives.signatures import IMAGE_BYTES, TEXT, Signature
from models.serving import contract

Function = Callable[..., dict[str, tf.Tensor]]


def require_free(signatures: Mapping[str, Signature], objective: object) -> None:
    """Raises ValueError if an objective uses a name that every model has, or may have."""
    if taken := [name for name in signatures if contract.is_common(name)]:
        raise ValueError(
            f"{type(objective).__name__}.signatures names {taken[0]!r}, but a signature of this name is, or may be, in "
            f"every model (such as {contract.CLASSIFY}...); choose another name"
        )


def traced(
    signature: Signature, size: int, length: int, read: Callable[[], contextlib.AbstractContextManager[None]]
) -> Function:
    """The function of a signature, from pixels and token ids; traced and stored once, whoever calls it.

    Args:
      signature: what the objective names.
      size: side of the pictures (pixels).
      length: tokens of a text.
      read: makes compressed weights readable.
    """
    given = {
        IMAGE_BYTES: tf.TensorSpec([None, size, size, 3], tf.float32),
        TEXT: tf.TensorSpec([None, length], tf.int32),
    }

    def function(*prepared: tf.Tensor) -> dict[str, tf.Tensor]:
        with read():
            return signature.function(*prepared)

    return tf.function(function, input_signature=[given[name] for name in signature.inputs], autograph=False)


def served(
    signature: Signature,
    function: Function,
    prepare: Callable[[str, tf.Tensor], tf.Tensor],
    to_pieces: Callable[[tf.Tensor], tf.Tensor],
) -> Function:
    """The signature that the SavedModel has.

    It refuses unequal numbers of pictures and texts (InvalidArgumentError, with both numbers).

    Args:
      signature: what the objective names.
      function: the signature's function, see `traced`.
      prepare: name and values of an input, string [N] -> pixels or token ids.
      to_pieces: ids of the vocabulary -> strings.
    """

    def answer(given: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        with tf.control_dependencies(_same_rows(given)):
            found = function(*(prepare(name, given[name]) for name in signature.inputs))
        return {name: to_pieces(value) if name in signature.pieces else value for name, value in found.items()}

    functions: dict[tuple[str, ...], Function] = {
        (IMAGE_BYTES,): lambda image_bytes: answer({IMAGE_BYTES: image_bytes}),
        (TEXT,): lambda text: answer({TEXT: text}),
        (IMAGE_BYTES, TEXT): lambda image_bytes, text: answer({IMAGE_BYTES: image_bytes, TEXT: text}),
    }
    strings = [tf.TensorSpec([None], tf.string, name=name) for name in signature.inputs]
    return tf.function(functions[signature.inputs], input_signature=strings, autograph=False)


def _same_rows(given: Mapping[str, tf.Tensor]) -> list[tf.Operation]:
    """Requires that all inputs have the same number of rows."""
    if len(given) == 1:
        return []
    pictures, texts = tf.size(given[IMAGE_BYTES]), tf.size(given[TEXT])
    told = [IMAGE_BYTES, "has", pictures, "rows, but", TEXT, "has", texts, "; send one text for each picture"]
    return [tf.debugging.Assert(tf.equal(pictures, texts), told)]
