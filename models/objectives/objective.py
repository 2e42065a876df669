"""The protocol of training objectives: all that the rest of the system knows of one."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
import tensorflow as tf

from models.distribution.collectives import Collectives
from models.layers.visual_codes import Codebook
from models.objectives.signatures import Signature
from models.objectives.training_only import TrainingOnly
from models.settings import AugmentationSettings, ObjectiveSettings

Batch = dict[str, tf.Tensor]
Encoded = dict[str, tf.Tensor]
Metrics = dict[str, tf.Tensor]


IMAGES = "images"
TOKEN_IDS = "token_ids"
SEEDS = "seeds"
PICTURE_IDS = "picture_ids"
CARRIED = "carried/"
"""Begins the names of tensors that `Objective.loss` hands to `Objective.after_update` among its metrics."""


def boxes_of(view: str) -> str:
    """The name of the crop boxes of an image view, in a batch."""
    return f"{view}_boxes"


@dataclasses.dataclass(frozen=True)
class Views:
    """The views of each pair that a batch must hold.

    Attributes:
      images: {name of a view: augmentation}; each view is float32 [N, S, S, 3] in [-1, 1], augmented independently of
        the others. None takes Training.augmentation. Without image views, no picture is read or decoded.
      texts: {name of a view: None}; each view is int32 [N, L], the token ids of a caption drawn independently of the
        others.
      seeds: whether the batch has SEEDS, int32 [N, 2], new at each visit of a pair. An objective that draws in the step
        (such as masks) draws from them, so that a resumed run draws the same.
      picture_ids: whether the batch has PICTURE_IDS, int32 [N], equal for rows of one picture.
      image_embedding: D of the stored image embeddings, float32 [N, D], unit norm; 0 reads none.
    """

    images: Mapping[str, AugmentationSettings | None] = dataclasses.field(default_factory=lambda: {IMAGES: None})
    texts: Mapping[str, None] = dataclasses.field(default_factory=lambda: {TOKEN_IDS: None})
    seeds: bool = False
    picture_ids: bool = False
    image_embedding: int = 0


@dataclasses.dataclass(frozen=True)
class Run:
    """What an objective may need to know of its training run.

    Attributes:
      steps: number of steps of the whole run, those of earlier processes included.
      text_ids: gives the ids of the pieces that texts consist of (Tokenizer.text_ids), int32.
      codebook: the visual codes, if the settings ask for them (models.settings.visual_codes).
    """

    steps: int
    text_ids: Callable[[], np.ndarray]
    codebook: Codebook | None = None


@runtime_checkable
class KnowsRun(Protocol):
    """An objective that depends on its training run, such as by a schedule over its steps."""

    def prepare(self, run: Run) -> None:
        """Takes the facts of the run; called once, after `build`, before training."""


class ScoredRows(Protocol):
    """Held-out rows that an objective may look at when training is done."""

    def embed(self) -> tuple[np.ndarray, np.ndarray]:
        """The embeddings of pictures and texts with the current weights, [N, D] each."""

    def mean_recall(self, image: np.ndarray, text: np.ndarray) -> float:
        """The mean recall of these embeddings over both directions and all depths."""


class Objective(Protocol):
    """Owns its towers, computes the loss of a batch, and makes the two embeddings that are exported.

    The loss has two parts, so that a batch can be encoded in micro-batches and still be compared as a whole:
    `encode` computes everything that depends on one pair only, and `loss` everything that compares pairs. Layers that
    compare pairs, such as a fusion of hard negatives, belong in `loss`. The objective alone decides how many towers it
    has and what they share.

    Attributes:
      config: its settings.
      views: what it needs in a batch.
      training_only: parts whose variables the exported model does not have, such as predictors and momentum copies.
      finishes: whether `finish` looks at held-out rows.
    """

    config: ObjectiveSettings
    views: Views
    training_only: TrainingOnly
    finishes: bool

    def build(self) -> None:
        """Makes every variable, from the global random seed."""

    def start(self) -> None:
        """Lets state that follows weights, such as a momentum copy, start as these; called when weights were loaded."""

    @property
    def variables(self) -> list[tf.Variable]:
        """All variables, including those of locked towers and of `training_only`."""

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
          This replica's share of the loss (the sum over replicas is the loss), and scalars of the whole batch. Tensors
          whose names begin with CARRIED are not logged; `after_update` gets them.
        """

    def after_update(self, encoded: Encoded, collectives: Collectives) -> None:
        """Updates `state` after the optimiser has updated the weights; every replica must compute the same values.

        Args:
          encoded: this replica's rows, from `encode`, and what `loss` carried.
          collectives: for sums over the replicas; models.distribution.state changes variables.
        """

    def finish(self, held_out: ScoredRows) -> dict[str, float]:
        """Chooses what is chosen on held-out rows, after the last step; returns scalars for the log."""

    def embed_image(self, images: tf.Tensor) -> tf.Tensor:
        """[N, S, S, 3] -> unit-norm [N, D]."""

    def embed_text(self, token_ids: tf.Tensor) -> tf.Tensor:
        """[N, L] -> unit-norm [N, D]."""

    def logits(self, image_embedding: tf.Tensor, text_embedding: tf.Tensor) -> tf.Tensor:
        """[N, D], [K, D] -> [N, K]: the logit of the probability that picture and text belong together.

        The logit must be affine in the cosine similarity: logit = scale * similarity + bias, with the same scale and
        bias for all pairs. Export relies on it: the signature `evaluate` returns similarity, scale and bias.
        """

    def signatures(self) -> Mapping[str, Signature]:
        """Further functions that the exported model serves, by name; most objectives have none."""
