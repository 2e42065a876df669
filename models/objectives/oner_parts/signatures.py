"""The further signatures of Oner: picture and text together, and where in a picture a text is found."""

from typing import Protocol

import tensorflow as tf

from models.objectives.signatures import IMAGE_BYTES, TEXT, Signature


class EmbedsParts(Protocol):
    """What the signatures need of an objective."""

    def embed_text(self, token_ids: tf.Tensor) -> tf.Tensor:
        """[N, L] -> unit-norm [N, D]."""

    def embed_pair(self, images: tf.Tensor, token_ids: tf.Tensor) -> tf.Tensor:
        """[N, S, S, 3], [N, L] -> unit-norm [N, D]."""

    def embed_patches(self, images: tf.Tensor) -> tf.Tensor:
        """[N, S, S, 3] -> unit-norm [N, g, g, D]."""


def signatures(objective: EmbedsParts) -> dict[str, Signature]:
    """`embed_pair`: pair_embedding [N, D], unit norm. `localize`: heat [N, g, g], the cosine of patch and text."""

    def embed_pair(images: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"pair_embedding": objective.embed_pair(images, token_ids)}

    def localize(images: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """Similarity of each projected patch output with the text's embedding, without Grad-CAM [P]."""
        patches, text = objective.embed_patches(images), objective.embed_text(token_ids)
        return {"heat": tf.einsum("nghd,nd->ngh", patches, text)}

    pairs = (IMAGE_BYTES, TEXT)
    return {"embed_pair": Signature(embed_pair, pairs), "localize": Signature(localize, pairs)}
