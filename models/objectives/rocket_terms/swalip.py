import tensorflow as tf
import tf_keras as keras

from models.distribution import state
from models.distribution.collectives import Collectives
from models.losses.sinkhorn import sinkhorn
from models.losses.softmax import one_way_softmax_loss
from models.objectives.rocket_terms.term import IMAGE, MODALITIES, TEXT, Rows, Term, unit
from models.settings import SwalipSettings


class Prototypes(keras.layers.Layer):
    """Unit-norm prototypes, [K, D], which do not change in the first steps."""

    def __init__(self, count: int, frozen_steps: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self._count, self._frozen_steps = count, frozen_steps

    def build(self, input_shape: tf.TensorShape) -> None:
        shape = (self._count, input_shape[-1])
        self.vectors = self.add_weight("vectors", shape, initializer="random_normal")
        self.steps = self.add_weight("steps", (), tf.int32, "zeros", trainable=False)
        super().build(input_shape)

    def now(self) -> tf.Tensor:
        """The prototypes; they get a gradient after the first steps only."""
        vectors = tf.convert_to_tensor(self.vectors)
        frozen = self.steps.read_value() < self._frozen_steps
        return unit(tf.where(frozen, tf.stop_gradient(vectors), vectors))


class Swalip(Term[SwalipSettings]):
    """SwALIP [P]: the assignment of one pair of views is the target of another pair.

    Without prototypes, S_ab holds the similarities of the local pictures of view a to the local texts of view b. The
    target of S_ab is Sinkhorn's assignment of the pair of the other views, S_(1-a)(1-b); the prediction is the softmax
    of t * S_ab with the learned t of local pairs. The term is the mean of the cross-entropy over the four pairs and
    both directions.

    With prototypes, the paper's first version: the target of a picture is the assignment of its text to prototypes, and
    the reverse, on the global pair.
    """

    name = "swalip"

    def build(self) -> None:
        if self.config.prototypes:
            self._projectors = self.mlps("projector", self.config.projector, "none")
            self._prototypes = Prototypes(
                self.config.prototypes, self.config.frozen_steps, name=f"{self.name}_prototypes"
            )
            self.add(self._prototypes, self.config.projector[-1])

    @property
    def state(self) -> list[tf.Variable]:
        return [self._prototypes.steps] if self.config.prototypes else []

    def loss(self, rows: Rows, collectives: Collectives) -> tf.Tensor:
        if self.config.prototypes:
            return self._of_prototypes(rows, collectives)
        image, text = rows.local[IMAGE], rows.local[TEXT]
        to_text = self._swapped(self._similarity(image, text, collectives), collectives)
        to_image = self._swapped(self._similarity(text, image, collectives), collectives)
        total = tf.zeros([], image.dtype)
        for a, b in rows.pairs[1:]:
            i, j = a - 1, b - 1  # rows.pairs counts the global view
            for queries, keys, targets in (
                (image[i], text[j], to_text[i, j]),
                (text[j], image[i], to_image[j, i]),
            ):
                total += one_way_softmax_loss(queries, keys, rows.local_log_scale, collectives, targets=targets)
        return total / (2 * len(rows.pairs[1:]))

    def after_update(self) -> None:
        if self.config.prototypes:
            state.assign([(self._prototypes.steps, self._prototypes.steps.read_value() + 1)])

    def _similarity(self, own: tf.Tensor, other: tf.Tensor, collectives: Collectives) -> tf.Tensor:
        """[2, b, D], [2, b, D] -> [2, 2, b, |B|]: rows of this replica in each view, to all rows in each other view."""
        gathered = collectives.all_gather(tf.transpose(tf.stop_gradient(other), [1, 0, 2]))
        return tf.einsum("aid,jbd->abij", tf.stop_gradient(own), gathered)

    def _swapped(self, similarity: tf.Tensor, collectives: Collectives) -> tf.Tensor:
        """The targets of each pair of views: the assignment of the pair of the other views."""
        count = collectives.num_replicas * similarity.shape[-2]
        similarity = tf.ensure_shape(similarity, [*similarity.shape[:-1], count])
        assigned = sinkhorn(similarity, self.config.temperature, self.config.rounds, collectives)
        return tf.reverse(assigned, axis=[0, 1])

    def _of_prototypes(self, rows: Rows, collectives: Collectives) -> tf.Tensor:
        prototypes = self._prototypes.now()
        similarity, targets = {}, {}
        for m in MODALITIES:
            z, _ = self._projectors[m].of_batch(rows.features[m][:1], collectives)
            z = unit(tf.cast(z[0], rows.features[m].dtype))
            similarity[m] = tf.matmul(z, tf.cast(prototypes, z.dtype), transpose_b=True)
            targets[m] = sinkhorn(similarity[m], self.config.temperature, self.config.rounds, collectives)
        total = tf.zeros([], similarity[IMAGE].dtype)
        for own, other in ((IMAGE, TEXT), (TEXT, IMAGE)):
            predicted = tf.nn.log_softmax(similarity[own] / self.config.prototype_temperature)
            total -= tf.reduce_sum(targets[other] * predicted)
        return total / (2 * collectives.num_replicas * similarity[IMAGE].shape[0])
