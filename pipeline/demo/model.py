"""The SavedModel, loaded once, as the page asks it."""

import threading
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the tokenizer's ops)

_SIGNATURES = ("embed_image", "embed_text", "serving_default")


class LoadedModel:
    """An exported model; one caller at a time, so that large pictures do not add up in memory."""

    def __init__(self, saved_model: str) -> None:
        """Loads the model.

        Args:
          saved_model: its folder.

        Raises:
          ValueError: it is damaged, or lacks a signature that the page asks.
        """
        self._lock = threading.Lock()
        try:
            self._model = tf.saved_model.load(saved_model)
        except (OSError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"{saved_model} cannot be loaded ({reason}); push or export the model again") from error
        found = sorted(self._model.signatures)
        if missing := [name for name in _SIGNATURES if name not in found]:
            raise ValueError(
                f"{saved_model} has no signature {', '.join(missing)}, but {', '.join(found) or 'none'}; name a model "
                "that this project has exported"
            )

    def probabilities(self, image: bytes, labels: Sequence[str]) -> list[float]:
        """Sigmoid probability that each of K labels belongs to an encoded picture; they do not add up to 1."""
        with self._lock:
            answer = self._model.signatures["serving_default"](
                image_bytes=tf.constant([image]), labels=tf.constant([label.encode() for label in labels])
            )
        return answer["probability"].numpy()[0].tolist()

    def embed_images(self, images: Sequence[bytes]) -> np.ndarray:
        """N encoded pictures -> float32 [N, D], unit norm."""
        with self._lock:
            answer = self._model.signatures["embed_image"](image_bytes=tf.constant(list(images)))
        return answer["image_embedding"].numpy()

    def embed_text(self, text: str) -> np.ndarray:
        """One text -> float32 [D], unit norm."""
        with self._lock:
            answer = self._model.signatures["embed_text"](text=tf.constant([text.encode()]))
        return answer["text_embedding"].numpy()[0]
