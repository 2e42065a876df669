"""A SavedModel in this process: the one place that loads one and calls its signatures.

Only components/infra_validator/model_server.py loads one by itself: it is a script of a clean process without our code.
"""

from collections.abc import Collection, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the ops of the tokenizer in the graph)


class ExportedModel:
    """The signatures of a SavedModel; each worker loads its own."""

    def __init__(self, folder: str, batch_size: int = 64, required: Collection[str] = ()) -> None:
        """Loads the model.

        Args:
          folder: of the SavedModel.
          batch_size: rows that `embed_images` and `embed_texts` embed at a time. They pad the last batch to this size,
            because the size of a batch changes the rounding of an embedding.
          required: signatures that the model must have.

        Raises:
          ValueError: the model is damaged, or has not all required signatures.
        """
        self._batch_size = batch_size
        try:
            self._model = tf.saved_model.load(folder)
        except (OSError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"{folder} cannot be loaded ({reason}); push or export the model again") from error
        if missing := [name for name in required if name not in self.signatures]:
            raise ValueError(
                f"{folder} has no signature {', '.join(missing)}, but {', '.join(sorted(self.signatures)) or 'none'}; "
                "name a model that this project has exported"
            )

    @property
    def signatures(self) -> tuple[str, ...]:
        """Names of the signatures."""
        return tuple(self._model.signatures)

    def call(self, signature: str, **inputs: tf.Tensor | Sequence[str] | Sequence[bytes]) -> dict[str, np.ndarray]:
        """Calls a signature.

        Args:
          signature: its name.
          **inputs: {input: string [N], N of its own}.

        Raises:
          KeyError: there is no such signature.
          TypeError: an input is missing, or the signature has no such input.
          tf.errors.InvalidArgumentError: the model refuses an input.
        """
        tensors = {name: tf.convert_to_tensor(values, tf.string) for name, values in inputs.items()}
        return {name: value.numpy() for name, value in self._model.signatures[signature](**tensors).items()}

    def embed_images(self, encoded: Sequence[bytes]) -> np.ndarray:
        """Encoded pictures -> float32 [N, D], unit norm."""
        return self._embed("embed_image", "image_bytes", "image_embedding", list(encoded))

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Texts -> float32 [N, D], unit norm."""
        return self._embed("embed_text", "text", "text_embedding", [text.encode() for text in texts])

    def _embed(self, signature: str, name: str, output: str, values: list[bytes]) -> np.ndarray:
        found = []
        for start in range(0, len(values), self._batch_size):
            some = values[start : start + self._batch_size]
            padded = some + [some[-1]] * (self._batch_size - len(some))
            embeddings = tf.nn.l2_normalize(self.call(signature, **{name: padded})[output], axis=-1)
            found.append(embeddings.numpy()[: len(some)])
        return np.concatenate(found)
