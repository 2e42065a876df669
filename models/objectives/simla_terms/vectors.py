import tensorflow as tf
import tf_keras as keras

from models import settings
from models.objectives.simla_terms.term import IMAGE, TEXT


class Vectors(keras.layers.Layer):
    """Learned vectors in place of masked words and patches, and the centres of the visual codes.

    Attributes:
      masks: {IMAGE or TEXT: [width]}, of the terms that are on.
      centres: [codes, D], which no optimiser moves; None without mim.
    """

    def __init__(self, config: settings.SimlaSettings, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self._config = config
        self.masks: dict[str, tf.Variable] = {}
        self.centres: tf.Variable | None = None

    def build(self, input_shape: object = None) -> None:
        config, width = self._config, self._config.image_tower.width
        with tf.name_scope(self.name):
            for modality, weight in ((IMAGE, config.mim), (TEXT, config.mlm)):
                if weight:
                    normal = keras.initializers.RandomNormal(stddev=width**-0.5)
                    self.masks[modality] = self.add_weight(f"{modality}_mask", (width,), initializer=normal)
            if config.mim:
                shape = (config.visual_codebook.codes, 3 * config.image_tower.patch**2 + 1)
                self.centres = self.add_weight("centres", shape, initializer="zeros", trainable=False)
        super().build(input_shape)
