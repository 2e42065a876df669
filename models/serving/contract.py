"""The signatures that a SavedModel has, read from its file: no weight is loaded, and no graph is built."""

import dataclasses
import os
from collections.abc import Mapping, Sequence

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from models import files
from models.objectives.signatures import IMAGE_BYTES, TEXT

EMBED_IMAGE, EMBED_TEXT, ZERO_SHOT, EVALUATE, CLASSIFY = (
    "embed_image", "embed_text", "serving_default", "evaluate", "classify_",
)  # fmt: skip
LABELS, EXAMPLES = "labels", "examples"
_ALWAYS = (EMBED_IMAGE, EMBED_TEXT, ZERO_SHOT, EVALUATE)
_PRIVATE = "__"  # begins the names of TensorFlow's own entries
_INPUT_ORDER = (IMAGE_BYTES, TEXT, LABELS, EXAMPLES)


@dataclasses.dataclass(frozen=True)
class Names:
    """The names of a signature's inputs and outputs, in a fixed order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def signatures(folder: str) -> dict[str, Names]:
    """{signature: its inputs and outputs}: first those that every model of this project has, then the others by name.

    Args:
      folder: of the SavedModel.
    """
    model = saved_model_pb2.SavedModel()
    with tf.io.gfile.GFile(os.path.join(folder, files.SAVED_MODEL_FILE), "rb") as opened:
        model.ParseFromString(opened.read())
    found = {
        name: Names(tuple(sorted(one.inputs, key=_place)), tuple(sorted(one.outputs)))
        for graph in model.meta_graphs
        for name, one in graph.signature_def.items()
        if not name.startswith(_PRIVATE)
    }
    return {
        name: found[name] for name in [*(name for name in _ALWAYS if name in found), *sorted({*found} - {*_ALWAYS})]
    }


def served(folder: str) -> dict[str, Names]:
    """The signatures that users ask: all but `evaluate`."""
    return {name: names for name, names in signatures(folder).items() if name != EVALUATE}


def further(names: Mapping[str, Names]) -> dict[str, Names]:
    """The signatures that only this objective has (`Objective.signatures`)."""
    return {name: one for name, one in names.items() if not is_common(name)}


def is_common(signature: str) -> bool:
    """Whether models of every objective may have a signature of this name."""
    return signature in _ALWAYS or signature.startswith(CLASSIFY)


def request(
    signature: str, names: Names, pictures: Sequence[bytes], texts: Sequence[bytes]
) -> dict[str, Sequence[bytes]]:
    """{input: values} of a request that asks a signature for these rows.

    Raises:
      ValueError: the signature has an input that is neither pictures nor texts.
    """
    known = {IMAGE_BYTES: pictures, TEXT: texts, LABELS: texts}
    if strange := [name for name in names.inputs if name not in known]:
        raise ValueError(
            f"{signature} has the input {strange[0]!r}, but inputs are {', '.join(known)}; export the model again"
        )
    return {name: known[name] for name in names.inputs}


def _place(name: str) -> tuple[int, str]:
    return (_INPUT_ORDER.index(name) if name in _INPUT_ORDER else len(_INPUT_ORDER), name)
