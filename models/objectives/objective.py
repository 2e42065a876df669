"""What the rest of the system knows of a training objective, and all it knows."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import tensorflow as tf

from models.distribution.collectives import Collectives
from models.settings import AugmentationSettings, ObjectiveSettings

Batch = dict[str, tf.Tensor]
Features = dict[str, tf.Tensor]
Metrics = dict[str, tf.Tensor]


IMAGES = "images"
TOKEN_IDS = "token_ids"
IMAGE_EMBEDDING = "image_embedding"
SEEDS = "seeds"


def boxes_of(view: str) -> str:
    """The name of what an image view's pictures are cropped to."""
    return f"{view}_boxes"


@dataclasses.dataclass(frozen=True)
class Views:
    """What of each pair a batch must hold.

    Attributes:
      images: {name: augmentation}: the picture once for each, float32 [N, S, S, 3] in [-1, 1], every one augmented by
        itself; None augments as Training.augmentation says. Where it is empty, no picture is read or decoded.
      texts: names: a caption of the picture for each, drawn for each by itself, int32 [N, L] token ids.
      seeds: add SEEDS, int32 [N, 2], another for each visit of each pair, so that what an objective draws in the step,
        such as masks, is the same where a run was resumed.
      image_embedding: D of embeddings that lie in the shards, float32 [N, D], unit norm; 0 reads none.
    """

    images: Mapping[str, AugmentationSettings | None] = dataclasses.field(default_factory=lambda: {IMAGES: None})
    texts: tuple[str, ...] = (TOKEN_IDS,)
    seeds: bool = False
    image_embedding: int = 0


class Objective(Protocol):
    """Owns its towers, turns a batch into a loss, and gives the two embeddings that are exported.

    The loss is in two parts, so that a batch can be embedded piece by piece and yet be compared as a whole: `features`
    is all that needs one pair only, `loss` what compares pairs, in whichever layers: a fusion of hard negatives belongs
    into it. How many towers there are, and what they share, is the objective's own affair.
    """

    config: ObjectiveSettings
    views: Views

    def build(self) -> None:
        """Makes every variable, from the global random seed."""

    @property
    def variables(self) -> list[tf.Variable]:
        """All variables, those of locked towers too."""

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """All variables that the optimiser may update."""

    @property
    def state(self) -> list[tf.Variable]:
        """Variables that `after_update` moves, such as a momentum copy or a queue; saved with the weights."""

    def step_flops(self, batch_size: int) -> float:
        """Floating-point operations of a training step over `batch_size` pairs (models.towers.flops)."""

    def features(self, batch: Batch) -> Features:
        """What the loss needs, each [N, ...]: differentiable, or whole numbers; a row depends on its own pair only."""

    def loss(self, features: Features, collectives: Collectives) -> tuple[tf.Tensor, Metrics]:
        """This replica's share of the loss, whose sum over replicas is the loss, and scalars of the whole batch."""

    def after_update(self, features: Features, collectives: Collectives) -> None:
        """Moves `state` once the optimiser has moved the weights, alike on every replica."""

    def embed_image(self, images: tf.Tensor) -> tf.Tensor:
        """[N, S, S, 3] -> unit-norm [N, D]."""

    def embed_text(self, token_ids: tf.Tensor) -> tf.Tensor:
        """[N, L] -> unit-norm [N, D]."""

    def logits(self, image_embedding: tf.Tensor, text_embedding: tf.Tensor) -> tf.Tensor:
        """[N, D], [K, D] -> [N, K], whose sigmoid is the probability that the two belong together."""
