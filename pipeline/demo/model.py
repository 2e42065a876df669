"""The SavedModel, loaded once, as the page asks it."""

import threading
from collections.abc import Sequence

import numpy as np

from beam.exported_model import ExportedModel
from models.serving import contract
from pipeline.labels import by_logit

MATCH = "match"
_BATCH = 64
_SIGNATURES = (contract.EMBED_IMAGE, contract.EMBED_TEXT, contract.ZERO_SHOT)


class LoadedModel:
    """An exported model; one caller at a time, so that large pictures do not add up in memory.

    Attributes:
      further: {signature: its inputs and outputs}, those that not every model has.
    """

    def __init__(self, saved_model: str) -> None:
        """Loads the model.

        Args:
          saved_model: its folder.

        Raises:
          ValueError: it is damaged, or lacks a signature that the page asks.
        """
        self._lock = threading.Lock()
        self._model = ExportedModel(saved_model, required=_SIGNATURES)
        self.further = contract.further(contract.signatures(saved_model))

    def probabilities(self, image: bytes, labels: Sequence[str]) -> dict[str, float]:
        """{label: sigmoid probability that it belongs to an encoded picture}, the labels with the highest logit first.

        They do not add up to 1.
        """
        texts = [label.encode() for label in labels]
        with self._lock:
            answer = self._model.call("serving_default", image_bytes=[image], labels=texts)
        return by_logit(labels, answer)[0]

    def embed_images(self, images: Sequence[bytes]) -> np.ndarray:
        """N encoded pictures -> float32 [N, D], unit norm."""
        with self._lock:
            return self._model.call("embed_image", image_bytes=list(images))["image_embedding"]

    def matches(self, images: Sequence[bytes], text: str) -> list[float]:
        """The probability that each picture and the text belong together, by the signature `match`, batch by batch."""
        found: list[float] = []
        for start in range(0, len(images), _BATCH):
            some = list(images[start : start + _BATCH])
            with self._lock:
                answer = self._model.call(MATCH, image_bytes=some, text=[text.encode()] * len(some))
            found += answer["probability"].tolist()
        return found

    def heat(self, image: bytes, text: str) -> np.ndarray:
        """The heat of a text in an encoded picture, float32 [g, h]; only models with `localize` have it."""
        with self._lock:
            return self._model.call("localize", image_bytes=[image], text=[text.encode()])["heat"][0]

    def embed_pair(self, image: bytes, text: str) -> np.ndarray:
        """A picture and a text together -> float32 [D], unit norm; only models with `embed_pair` have it."""
        with self._lock:
            return self._model.call("embed_pair", image_bytes=[image], text=[text.encode()])["pair_embedding"][0]

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """N texts -> float32 [N, D], unit norm."""
        with self._lock:
            return self._model.embed_texts(texts)

    def embed_text(self, text: str) -> np.ndarray:
        """One text -> float32 [D], unit norm."""
        with self._lock:
            return self._model.call("embed_text", text=[text.encode()])["text_embedding"][0]
