"""A model that was exported before, as workers use it: encoded pictures and texts in, embeddings out."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf


class ExportedModel:
    """A SavedModel with the signatures that are used of embed_image and embed_text; each worker makes its own."""

    def __init__(self, folder: str, batch_size: int = 64) -> None:
        """Loads the model.

        Args:
          folder: of the SavedModel.
          batch_size: how many are embedded at a time; always as many, since a row's embedding must not depend on how
            many share its batch.
        """
        import tensorflow_text  # noqa: F401  (its ops are in the graph)

        self._model, self._batch_size = tf.saved_model.load(folder), batch_size

    def embed_images(self, encoded: Sequence[bytes]) -> np.ndarray:
        """Pictures -> float32 [N, D], unit norm."""
        return self._embed("embed_image", "image_bytes", "image_embedding", list(encoded))

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Texts -> float32 [N, D], unit norm."""
        return self._embed("embed_text", "text", "text_embedding", [text.encode() for text in texts])

    def _embed(self, signature: str, name: str, output: str, values: list[bytes]) -> np.ndarray:
        embed, found = self._model.signatures[signature], []
        for start in range(0, len(values), self._batch_size):
            some = values[start : start + self._batch_size]
            padded = some + [some[-1]] * (self._batch_size - len(some))
            embeddings = tf.nn.l2_normalize(embed(**{name: tf.constant(padded)})[output], axis=-1)
            found.append(embeddings.numpy()[: len(some)])
        return np.concatenate(found)
