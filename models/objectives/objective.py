"""What the rest of the system knows of a training objective, and all it knows."""

from typing import Protocol

import tensorflow as tf

from models import settings
from models.distribution import Collectives

Batch = dict[str, tf.Tensor]
Features = dict[str, tf.Tensor]
Metrics = dict[str, tf.Tensor]


class Objective(Protocol):
    """Owns its towers, turns a batch into a loss, and gives the two embeddings that are exported.

    A batch has `images`, float32 [N, S, S, 3] in [-1, 1], and `token_ids`, int32 [N, L]. The loss is in two parts, so
    that a batch can be embedded piece by piece and yet be compared as a whole.
    """

    config: settings.ObjectiveSettings
    image_size: int
    text_length: int

    def build(self) -> None:
        """Makes every variable, from the global random seed."""

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """All variables that the optimiser may update."""

    def step_flops(self, batch_size: int) -> float:
        """Floating-point operations of a training step over `batch_size` pairs (models.flops)."""

    def features(self, batch: Batch) -> Features:
        """What the loss compares, each [N, ...]; a row depends on its own pair only."""

    def loss(self, features: Features, collectives: Collectives) -> tuple[tf.Tensor, Metrics]:
        """This replica's share of the loss, whose sum over replicas is the loss, and scalars of the whole batch."""

    def embed_image(self, images: tf.Tensor) -> tf.Tensor:
        """[N, S, S, 3] -> unit-norm [N, D]."""

    def embed_text(self, token_ids: tf.Tensor) -> tf.Tensor:
        """[N, L] -> unit-norm [N, D]."""

    def logits(self, image_embedding: tf.Tensor, text_embedding: tf.Tensor) -> tf.Tensor:
        """[N, D], [K, D] -> [N, K], whose sigmoid is the probability that the two belong together."""
