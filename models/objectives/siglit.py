"""SigLiT: SigLIP with a locked image tower (SigLiT in arXiv 2303.15343)."""

import dataclasses

import tensorflow as tf

from models import settings
from models.features import IMAGE_EMBEDDING
from models.objectives.objective import IMAGES, Batch
from models.objectives.siglip import Siglip
from models.towers import flops


class Siglit(Siglip):
    """SigLIP whose image tower never learns: it has no gradient and no optimiser state.

    Each step runs the image tower as in evaluation. With Siglit.precomputed, a step reads stored embeddings instead.
    """

    def __init__(self, config: settings.SiglitSettings, vocabulary_size: int, remat: str = "nothing") -> None:
        super().__init__(config, vocabulary_size, remat)
        self._precomputed = config.precomputed
        self.image_tower.trainable = False
        if config.precomputed:
            self.views = dataclasses.replace(self.views, images={}, image_embedding=config.image_tower.width)

    def step_flops(self, batch_size: int) -> float:
        dim = self.config.image_tower.width
        text = flops.text_tower(self.config.text_tower, dim)
        image = 0.0 if self._precomputed else flops.image_tower(self.config.image_tower)
        return flops.train_step(text, batch_size, dim) + batch_size * image

    def encode_image(self, batch: Batch) -> tf.Tensor:
        return batch[IMAGE_EMBEDDING] if self._precomputed else tf.stop_gradient(self.embed_image(batch[IMAGES]))
