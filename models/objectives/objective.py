"""The protocol of training objectives: all that the rest of the system knows of one."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import tensorflow as tf

from models.distribution.collectives import Collectives
from models.settings import AugmentationSettings, ObjectiveSettings

Batch = dict[str, tf.Tensor]
Encoded = dict[str, tf.Tensor]
Metrics = dict[str, tf.Tensor]


IMAGES = "images"
TOKEN_IDS = "token_ids"
SEEDS = "seeds"


def boxes_of(view: str) -> str:
    """The name of the crop boxes of an image view, in a batch."""
    return f"{view}_boxes"


@dataclasses.dataclass(frozen=True)
class Views:
    """The views of each pair that a batch must hold.

    Attributes:
      images: {name of a view: augmentation}; each view is float32 [N, S, S, 3] in [-1, 1], augmented independently of
        the others. None takes Training.augmentation. Without image views, no picture is read or decoded.
      texts: names of text views; each is int32 [N, L], the token ids of a caption drawn independently of the others.
      seeds: whether the batch has SEEDS, int32 [N, 2], new at each visit of a pair. An objective that draws in the step
        (such as masks) draws from them, so that a resumed run draws the same.
      image_embedding: D of the stored image embeddings, float32 [N, D], unit norm; 0 reads none.
    """

    images: Mapping[str, AugmentationSettings | None] = dataclasses.field(default_factory=lambda: {IMAGES: None})
    texts: tuple[str, ...] = (TOKEN_IDS,)
    seeds: bool = False
    image_embedding: int = 0


class Objective(Protocol):
    """Owns its towers, computes the loss of a batch, and makes the two embeddings that are exported.

    The loss has two parts, so that a batch can be encoded in micro-batches and still be compared as a whole:
    `encode` computes everything that depends on one pair only, and `loss` everything that compares pairs. Layers that
    compare pairs, such as a fusion of hard negatives, belong in `loss`. The objective alone decides how many towers it
    has and what they share.

    Attributes:
      config: its settings.
      views: what it needs in a batch.
    """

    config: ObjectiveSettings
    views: Views

    def build(self) -> None:
        """Makes every variable, from the global random seed."""

    @property
    def variables(self) -> list[tf.Variable]:
        """All variables, including those of locked towers."""

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """All variables that the optimiser may update."""

    @property
    def state(self) -> list[tf.Variable]:
        """Variables that `after_update` updates, such as a momentum copy or a queue; checkpoints hold them, too."""

    def step_flops(self, batch_size: int) -> float:
        """Floating-point operations of a training step over `batch_size` pairs (models.towers.flops)."""

    def encode(self, batch: Batch) -> Encoded:
        """Computes what the loss needs, row by row.

        Args:
          batch: the views, each [N, ...].

        Returns:
          Tensors [N, ...], differentiable or integer. A row depends on its own pair only.
        """

    def loss(self, encoded: Encoded, collectives: Collectives) -> tuple[tf.Tensor, Metrics]:
        """Compares the pairs of the whole batch.

        Args:
          encoded: this replica's rows, from `encode`.
          collectives: for the rows of the other replicas.

        Returns:
          This replica's share of the loss (the sum over replicas is the loss), and scalars of the whole batch.
        """

    def after_update(self, encoded: Encoded, collectives: Collectives) -> None:
        """Updates `state` after the optimiser has updated the weights; every replica must compute the same values."""

    def embed_image(self, images: tf.Tensor) -> tf.Tensor:
        """[N, S, S, 3] -> unit-norm [N, D]."""

    def embed_text(self, token_ids: tf.Tensor) -> tf.Tensor:
        """[N, L] -> unit-norm [N, D]."""

    def logits(self, image_embedding: tf.Tensor, text_embedding: tf.Tensor) -> tf.Tensor:
        """[N, D], [K, D] -> [N, K]: the logit of the probability that picture and text belong together.

        The logit must be affine in the cosine similarity: logit = scale * similarity + bias, with the same scale and
        bias for all pairs. Export relies on it: the signature `evaluate` returns similarity, scale and bias.
        """
