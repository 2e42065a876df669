"""CLIP's objective (arXiv 2103.00020): two towers with the softmax loss, the baseline of SigLIP."""

import math

import tensorflow as tf

from models import settings
from models.distribution.collectives import Collectives
from models.losses.softmax import softmax_loss
from models.objectives.objective import Encoded, Metrics
from models.objectives.two_towers import TwoTowers, mean_logits


class Softmax(TwoTowers):
    """Two towers and the loss's learned scalar t' (log_scale).

    The logits have no bias, so their sigmoid is not a calibrated probability: the loss trains only their order.
    """

    def __init__(self, config: settings.SoftmaxSettings, vocabulary_size: int, remat: str = "nothing") -> None:
        super().__init__(config, vocabulary_size, remat, name="softmax")
        self.log_scale = self.scalar("log_scale", math.log(config.logit_scale))

    def logits(self, image_embedding: tf.Tensor, text_embedding: tf.Tensor) -> tf.Tensor:
        return tf.matmul(image_embedding, text_embedding, transpose_b=True) * tf.exp(self.log_scale)

    def loss(self, encoded: Encoded, collectives: Collectives) -> tuple[tf.Tensor, Metrics]:
        log_scale = tf.convert_to_tensor(self.log_scale)
        share = softmax_loss(encoded["image"], encoded["text"], log_scale, collectives)
        return share, {
            "logit_scale": tf.exp(log_scale),
            **mean_logits(encoded, tf.exp(log_scale), 0.0, collectives),
        }
