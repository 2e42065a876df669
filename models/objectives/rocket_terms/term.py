"""The base class of terms: what ClipRocket knows of a term, and what a term knows of ClipRocket."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import tensorflow as tf
import tf_keras as keras

from models.distribution.collectives import Collectives
from models.layers.mlp import Mlp
from models.objectives.objective import Encoded
from models.settings import TermSettings

Settings = TypeVar("Settings", bound=TermSettings)
IMAGE, TEXT = "image", "text"
MODALITIES = (IMAGE, TEXT)


@dataclasses.dataclass(frozen=True)
class Towers:
    """The towers of an objective.

    Attributes:
      trained: {IMAGE or TEXT: tower}.
      copy: makes another tower of a modality, with a name; its weights are drawn anew.
      width: output channels of each tower.
    """

    trained: Mapping[str, keras.layers.Layer]
    copy: Callable[[str, str], keras.layers.Layer]
    width: int


@dataclasses.dataclass(frozen=True)
class Rows:
    """This replica's rows in all views.

    Attributes:
      features: {IMAGE or TEXT: [1 + n, b, width]}, outputs of the towers: the global view, then n local ones.
      local: {IMAGE or TEXT: [n, b, D]}, unit-norm embeddings of the local views; {} if there are none.
      local_log_scale: t' of the local views; None if there are none.
      encoded: everything that `Term.encode` returned.
    """

    features: Mapping[str, tf.Tensor]
    local: Mapping[str, tf.Tensor]
    local_log_scale: tf.Tensor | None
    encoded: Encoded

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """(image view, text view) of the global pair, and of each of the n x n local pairs."""
        local = range(1, self.features[IMAGE].shape[0])
        return [(0, 0), *((image, text) for image in local for text in local)]


class Term(Generic[Settings]):
    """A part of the loss, with layers that only training needs.

    Attributes:
      config: its settings.
      name: begins the names of its variables and of its metrics.
    """

    name = "term"

    def __init__(self, config: Settings, towers: Towers) -> None:
        self.config, self._towers = config, towers
        self._layers: list[keras.layers.Layer] = []

    def build(self) -> None:
        """Makes every variable; the towers are built."""

    def mlps(self, part: str, sizes: Sequence[int], last_norm: str, width: int = 0) -> dict[str, Mlp]:
        """Makes dense layers for each modality, normalised over the batch: {IMAGE or TEXT: Mlp}.

        Args:
          part: what they are, such as "projector".
          sizes: see Mlp.
          last_norm: see Mlp.
          width: channels of their input; 0 is that of the towers.
        """
        made = {m: Mlp(sizes, last_norm, tracked=False, name=f"{self.name}_{m}_{part}") for m in MODALITIES}
        for layer in made.values():
            self.add(layer, width or self._towers.width)
        return made

    def add(self, layer: keras.layers.Layer, width: int) -> None:
        """Builds a layer of this term, whose input has `width` channels."""
        with tf.name_scope(layer.name):
            layer.build((None, width))
        self._layers.append(layer)

    @property
    def variables(self) -> list[tf.Variable]:
        """All its variables."""
        return [variable for layer in self._layers for variable in layer.variables]

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """Those that the optimiser updates."""
        return [variable for layer in self._layers for variable in layer.trainable_variables]

    @property
    def state(self) -> list[tf.Variable]:
        """Those that `after_update` updates."""
        return []

    def start(self) -> None:
        """Lets state that follows weights start as these."""

    def encode(self, views: Mapping[str, Sequence[tf.Tensor]]) -> Encoded:
        """What the term needs of each row.

        Args:
          views: {IMAGE or TEXT: [N, ...] of each view}: the global view, then n local ones.

        Returns:
          Tensors [N, ...], by names that begin with the term's; Rows.encoded has them.
        """
        return {}

    def loss(self, rows: Rows, collectives: Collectives) -> tf.Tensor:
        """This replica's share of the term, before its weight."""
        raise NotImplementedError

    def after_update(self) -> None:
        """Updates `state`, in replica context."""

    def flops(self) -> float:
        """Floating-point operations of the forward pass of one row in one view, of both modalities."""
        return sum(layer.flops() for layer in self._layers if isinstance(layer, Mlp))


def unit(rows: tf.Tensor) -> tf.Tensor:
    """Scales each row to unit norm."""
    return tf.nn.l2_normalize(rows, axis=-1)
