"""SigLIP: two towers trained with the pairwise sigmoid loss (arXiv 2303.15343)."""

import math

import tensorflow as tf

from models import settings
from models.distribution.collectives import Collectives
from models.losses.masked_sigmoid import masked_sigmoid_loss
from models.losses.sigmoid import sigmoid_loss
from models.objectives.objective import SEEDS, Batch, Encoded, Metrics, Views
from models.objectives.two_towers import TwoTowers, mean_logits


class Siglip(TwoTowers):
    """Two towers and the loss's two learned scalars: t' (log_scale) and b (bias), of section 3.2.

    With Siglip.negatives, the loss keeps a part of the negative pairs (models/losses/masked_sigmoid.py).
    """

    config: settings.SiglipSettings

    def __init__(self, config: settings.SiglipSettings, vocabulary_size: int, remat: str = "nothing") -> None:
        super().__init__(config, vocabulary_size, remat, name="siglip")
        self.views = Views(seeds=config.negatives is not None and config.negatives.kind == "random")
        self.log_scale = self.scalar("log_scale", math.log(config.logit_scale))
        self.bias = self.scalar("bias", config.logit_bias)

    def logits(self, image_embedding: tf.Tensor, text_embedding: tf.Tensor) -> tf.Tensor:
        return tf.matmul(image_embedding, text_embedding, transpose_b=True) * tf.exp(self.log_scale) + self.bias

    def encode(self, batch: Batch) -> Encoded:
        encoded = super().encode(batch)
        return {**encoded, SEEDS: batch[SEEDS]} if self.views.seeds else encoded

    def loss(self, encoded: Encoded, collectives: Collectives) -> tuple[tf.Tensor, Metrics]:
        log_scale, bias = tf.convert_to_tensor(self.log_scale), tf.convert_to_tensor(self.bias)
        metrics = {"logit_scale": tf.exp(log_scale), "logit_bias": bias}
        pairs, negatives = (encoded["image"], encoded["text"], log_scale, bias), self.config.negatives
        if negatives is None:
            share = sigmoid_loss(*pairs, collectives)
        else:
            share, kept = masked_sigmoid_loss(*pairs, negatives, encoded.get(SEEDS), collectives)
            metrics |= kept
        return share, {**metrics, **mean_logits(encoded, tf.exp(log_scale), bias, collectives)}
