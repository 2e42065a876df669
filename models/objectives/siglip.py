"""SigLIP: two towers trained with the pairwise sigmoid loss (arXiv 2303.15343)."""

import math

import tensorflow as tf
import tf_keras as keras

from models import settings
from models.image_tower import ImageTower
from models.losses.sigmoid import sigmoid_loss
from models.objectives.objective import Batch, Metrics
from models.text_tower import TextTower


class Siglip(keras.layers.Layer):
    """Image and text tower, and the two learned scalars t' and b of the loss."""

    def __init__(self, config: settings.SiglipSettings, vocabulary_size: int) -> None:
        super().__init__(name="siglip")
        self.image_size = config.image_tower.size
        self.text_length = config.text_tower.length
        self.image_tower = ImageTower(config.image_tower, name="image_tower")
        self.text_tower = TextTower(config.text_tower, vocabulary_size, config.image_tower.width, name="text_tower")
        self.log_scale = self.add_weight(
            "log_scale", shape=(), initializer=keras.initializers.Constant(math.log(config.logit_scale))
        )
        self.bias = self.add_weight("bias", shape=(), initializer=keras.initializers.Constant(config.logit_bias))

    def build(self, input_shape: object = None) -> None:
        self.embed_image(tf.zeros([1, self.image_size, self.image_size, 3]))
        self.embed_text(tf.zeros([1, self.text_length], tf.int32))
        self.built = True

    def embed_image(self, images: tf.Tensor) -> tf.Tensor:
        return tf.nn.l2_normalize(tf.cast(self.image_tower(images), tf.float32), axis=-1)

    def embed_text(self, token_ids: tf.Tensor) -> tf.Tensor:
        return tf.nn.l2_normalize(tf.cast(self.text_tower(token_ids), tf.float32), axis=-1)

    def logits(self, image_embedding: tf.Tensor, text_embedding: tf.Tensor) -> tf.Tensor:
        return tf.matmul(image_embedding, text_embedding, transpose_b=True) * tf.exp(self.log_scale) + self.bias

    def loss(self, batch: Batch) -> tuple[tf.Tensor, Metrics]:
        image, text = self.embed_image(batch["images"]), self.embed_text(batch["token_ids"])
        loss = sigmoid_loss(image, text, self.log_scale, self.bias)
        return loss, {"logit_scale": tf.exp(self.log_scale), "logit_bias": tf.identity(self.bias)}
