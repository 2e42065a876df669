"""Further functions of an objective, which its exported model serves beside the embeddings."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

IMAGE_BYTES, TEXT = "image_bytes", "text"
INPUTS = ((IMAGE_BYTES,), (TEXT,), (IMAGE_BYTES, TEXT))
EMBEDDING = "_embedding"
"""Ends the names of outputs [N, D] whose rows have unit norm."""
PROBABILITY = "probability"
"""Names an output whose values lie in [0, 1]."""


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function from pictures, from texts, or from pairs of both. N rows in give N rows out.

    Attributes:
      function: gets pixels, float32 [N, S, S, 3] in [-1, 1], for IMAGE_BYTES, and token ids, int32 [N, L], for TEXT, in
        the order of `inputs`. It returns {output: [N, ...]}. A row of the outputs depends on the same row of the inputs
        only. The function must not use variables of `Objective.training_only`. InfraValidator checks outputs by name:
        see EMBEDDING and PROBABILITY.
      inputs: what is served, one of INPUTS: encoded pictures, raw texts, or both with the same number of rows.
      pieces: names of outputs that are integer ids of the vocabulary. Export serves their pieces, as strings.
    """

    function: Callable[..., dict[str, tf.Tensor]]
    inputs: tuple[str, ...]
    pieces: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.inputs not in INPUTS:
            allowed = ", ".join(map(str, INPUTS))
            raise ValueError(f"Signature.inputs is {self.inputs!r}, but must be one of {allowed}; name one of these")
