"""A pretrained image tower alone: it gives the embeddings of pictures that an objective with a locked tower uses."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from models import pretrained, settings
from models.inputs import images
from models.objectives.two_towers import normalized
from models.settings import configuration
from models.towers.image_tower import ImageTower
from models.towers.precision import layers_compute_in


def create(gin_text: str) -> Callable[[Sequence[bytes]], np.ndarray]:
    """Loads the tower; call it once per process.

    Args:
      gin_text: EmbeddingSettings as resolved gin.

    Returns:
      A function from N encoded pictures to float32 [N, D], unit norm. It raises InvalidArgumentError, which lists the
      broken pictures.
    """
    config = configuration.parse(gin_text, settings.EmbeddingSettings)
    with layers_compute_in(config.compute_dtype):
        tower = ImageTower(config.image_tower, name="image_tower")
        tower(tf.zeros([1, config.image_tower.size, config.image_tower.size, 3]))
    pretrained.restore(tower.variables, pretrained.load(config.pretrained), ("image_tower",), config)

    @tf.function(jit_compile=True, autograph=False)
    def embed(pixels: tf.Tensor) -> tf.Tensor:
        return normalized(tower(pixels))

    def embed_pictures(pictures: Sequence[bytes]) -> np.ndarray:
        return embed(images.decode_batch(tf.constant(pictures), config.image_tower)).numpy()

    return embed_pictures
