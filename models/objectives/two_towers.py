"""What objectives with an image tower and a text tower share: everything except the loss."""

from collections.abc import Sequence

import tensorflow as tf
import tf_keras as keras

from models import settings
from models.distribution.collectives import Collectives
from models.objectives.objective import IMAGES, TOKEN_IDS, Batch, Encoded, Metrics, Views
from models.objectives.objective_layer import ObjectiveLayer
from models.objectives.training_only import TrainingOnly
from models.towers import flops
from models.towers.image_tower import ImageTower
from models.towers.text_tower import TextTower


class TwoTowers(ObjectiveLayer):
    """An image and a text tower; `encode` returns their embeddings "image" and "text", float32 [N, D], unit norm."""

    def __init__(self, config: settings.TwoTowersSettings, vocabulary_size: int, remat: str, name: str) -> None:
        super().__init__(name=name)
        self.views = Views()
        self.training_only = TrainingOnly()
        self.config = config
        self.image_tower = ImageTower(config.image_tower, remat, name="image_tower")
        width = config.image_tower.width
        self.text_tower = TextTower(config.text_tower, vocabulary_size, width, remat, name="text_tower")

    def build(self, input_shape: object = None) -> None:
        size = self.config.image_tower.size
        self.embed_image(tf.zeros([1, size, size, 3]))
        self.embed_text(tf.zeros([1, self.config.text_tower.length], tf.int32))
        self.built = True

    def step_flops(self, batch_size: int) -> float:
        dim = self.config.image_tower.width
        forward = flops.image_tower(self.config.image_tower) + flops.text_tower(self.config.text_tower, dim)
        return flops.train_step(forward, batch_size, dim)

    def encode(self, batch: Batch) -> Encoded:
        image = self.encode_image(batch)
        text = self.text_tower(batch[TOKEN_IDS], training=True)
        return {"image": image, "text": normalized(text)}

    def encode_image(self, batch: Batch) -> tf.Tensor:
        """The image embeddings of a training batch, float32 [N, D], unit norm."""
        return normalized(self.image_tower(batch[IMAGES], training=True))

    def embed_image(self, images: tf.Tensor) -> tf.Tensor:
        return normalized(self.image_tower(images))

    def embed_text(self, token_ids: tf.Tensor) -> tf.Tensor:
        return normalized(self.text_tower(token_ids))


def encode_views(tower: keras.layers.Layer, views: Sequence[tf.Tensor], training: bool) -> tf.Tensor:
    """Encodes all views of each row in one pass of the tower: [N, ...] each -> [N, V, width], in float32 at least."""
    rows = tower(views[0] if len(views) == 1 else tf.concat(views, axis=0), training=training)
    return tf.stack(tf.split(at_least_float32(rows), len(views)), axis=1)


def normalized(embedding: tf.Tensor) -> tf.Tensor:
    """Scales each row to unit norm, in float32 at least."""
    return tf.nn.l2_normalize(at_least_float32(embedding), axis=-1)


def at_least_float32(tensor: tf.Tensor) -> tf.Tensor:
    """Losses compute in this precision, whatever the towers compute in."""
    return tensor if tensor.dtype == tf.float64 else tf.cast(tensor, tf.float32)


def mean_logits(encoded: Encoded, scale: tf.Tensor, bias: tf.Tensor | float, collectives: Collectives) -> Metrics:
    """Mean logits of the |B| positive and of the |B|^2 - |B| negative pairs of the batch.

    No logit of a negative pair is computed: the sum over all pairs is scale * (sum_i x_i) . (sum_j y_j) + |B|^2 * bias.
    """
    image, text = encoded["image"], encoded["text"]
    count = collectives.num_replicas * image.shape[0]
    image_sum, text_sum, matches = collectives.all_reduce(
        [tf.reduce_sum(image, axis=0), tf.reduce_sum(text, axis=0), tf.reduce_sum(image * text)]
    )
    positive = scale * matches + count * bias
    everything = scale * tf.reduce_sum(image_sum * text_sum) + count**2 * bias
    return {
        "positive_logit": positive / count,
        "negative_logit": (everything - positive) / max(count * (count - 1), 1),
    }
