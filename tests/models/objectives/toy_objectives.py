"""Two minimal objectives that the Objective protocol must support, registered from outside models/.

OneTower needs what OneR needs (arXiv 2211.11153): one tower for both modalities, a momentum copy of it, two views of
both, and masked words. Fusion needs what SIMLA needs (arXiv 2203.14395): hard negatives, fused inside the loss.
"""

import dataclasses

import tensorflow as tf
import tf_keras as keras

from models import objectives, settings
from models.losses.sigmoid import sigmoid_loss
from models.objectives.objective import IMAGES, SEEDS, TOKEN_IDS, Views
from models.objectives.siglip import Siglip
from models.objectives.signatures import IMAGE_BYTES, TEXT, Signature
from models.objectives.training_only import TrainingOnly
from models.objectives.two_towers import normalized
from models.settings.checks import settings_class
from models.towers import flops, transformer

MOMENTUM_IMAGES, MOMENTUM_TOKEN_IDS = "momentum_images", "momentum_token_ids"
MOMENTUM, MASKED = 0.9, 0.3


@settings_class("ToyTower")
class OneTowerSettings(settings.ObjectiveSettings):
    """One transformer that reads patches and words; these settings also say how both are prepared."""

    encoder: settings.TransformerSettings = settings.TransformerSettings(32, 1, 2, 64)
    size: int = 24
    resize: str = "crop"
    interpolation: str = "bilinear"
    antialias: bool = True
    length: int = 12
    pad_id: int = 1
    punctuation: str = "keep"
    expected_eos_id: int | None = None

    @property
    def image_input(self) -> settings.ImageInput:
        return self

    @property
    def text_input(self) -> settings.TextInput:
        return self


class SharedTower(keras.layers.Layer):
    """Pixels [N, 24, 24, 3] or token ids [N, 12] -> tokens [N, 9 or 12, W], through the same encoder."""

    def __init__(self, config: OneTowerSettings, vocabulary_size: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        width = config.encoder.width
        self.patch_embedding = keras.layers.Conv2D(width, 8, 8)
        self.token_embedding = keras.layers.Embedding(vocabulary_size, width)
        self.encoder = transformer.Encoder(config.encoder)
        self.image_positions = self.add_weight("image_positions", (1, 9, width), initializer="random_normal")
        self.text_positions = self.add_weight("text_positions", (1, config.length, width), initializer="random_normal")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        if inputs.dtype.is_integer:
            return self.encoder(self.token_embedding(inputs) + self.text_positions)
        patches = self.patch_embedding(inputs)
        return self.encoder(tf.reshape(patches, [-1, 9, patches.shape[-1]]) + self.image_positions)


class OneTower(keras.layers.Layer):
    """Contrasts each modality with the momentum embedding of the other, and predicts masked words."""

    training_only, finishes = TrainingOnly(), False

    def __init__(self, config: OneTowerSettings, vocabulary_size: int, remat: str = "nothing") -> None:
        super().__init__(name="one_tower")
        assert remat == "nothing"
        self.config, self.vocabulary_size = config, vocabulary_size
        images, texts = (dict.fromkeys(names) for names in ((IMAGES, MOMENTUM_IMAGES), (TOKEN_IDS, MOMENTUM_TOKEN_IDS)))
        self.views = Views(images, texts, seeds=True)
        self.tower = SharedTower(config, vocabulary_size, name="tower")
        self.momentum = SharedTower(config, vocabulary_size, name="momentum", trainable=False)
        self.words = keras.layers.Dense(vocabulary_size, name="words")
        self.log_scale = self.add_weight("log_scale", (), initializer=keras.initializers.Constant(2.3))
        self.bias = self.add_weight("bias", (), initializer=keras.initializers.Constant(-3.0))

    def build(self, input_shape: object = None) -> None:  # noqa: ARG002
        for tower in (self.tower, self.momentum):
            tower(tf.zeros([1, self.config.size, self.config.size, 3]))
            self.words(tower(tf.zeros([1, self.config.length], tf.int32)))
        self.start()
        self.built = True

    def start(self) -> None:
        for copy, variable in zip(self.momentum.variables, self.tower.variables, strict=True):
            copy.assign(variable)

    @property
    def state(self) -> list[tf.Variable]:
        return self.momentum.variables

    def step_flops(self, batch_size: int) -> float:
        tokens = flops.transformer(self.config.encoder, 9) + flops.transformer(self.config.encoder, 12)
        return flops.train_step(2 * tokens, batch_size, self.config.encoder.width)

    def encode(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        token_ids, seeds = batch[TOKEN_IDS], batch[SEEDS]
        draws = tf.map_fn(
            lambda seed: tf.random.stateless_uniform([token_ids.shape[1]], seed), seeds, fn_output_signature=tf.float32
        )
        masked = draws < MASKED
        predicted = self.words(self.tower(tf.where(masked, 3, token_ids)))
        errors = tf.nn.sparse_softmax_cross_entropy_with_logits(token_ids, predicted)
        return {
            "image": self.embed_image(batch[IMAGES]),
            "text": self.embed_text(token_ids),
            "momentum_image": tf.stop_gradient(pooled(self.momentum(batch[MOMENTUM_IMAGES]))),
            "momentum_text": tf.stop_gradient(pooled(self.momentum(batch[MOMENTUM_TOKEN_IDS]))),
            "masked": tf.reduce_mean(errors * tf.cast(masked, tf.float32), axis=1),
        }

    def loss(self, encoded, collectives):
        scalars = tf.convert_to_tensor(self.log_scale), tf.convert_to_tensor(self.bias)
        contrast = sigmoid_loss(encoded["image"], encoded["momentum_text"], *scalars, collectives)
        contrast += sigmoid_loss(encoded["momentum_image"], encoded["text"], *scalars, collectives)
        rows = collectives.num_replicas * encoded["masked"].shape[0]
        masked = tf.reduce_sum(encoded["masked"]) / rows
        return contrast + masked, {"masked_words": collectives.all_reduce([masked])[0]}

    def after_update(self, encoded, collectives) -> None:  # noqa: ARG002
        for copy, variable in zip(self.momentum.variables, self.tower.variables, strict=True):
            copy.assign(MOMENTUM * copy + (1 - MOMENTUM) * variable)

    def embed_image(self, images: tf.Tensor) -> tf.Tensor:
        return pooled(self.tower(images))

    def embed_text(self, token_ids: tf.Tensor) -> tf.Tensor:
        return pooled(self.tower(token_ids))

    def logits(self, image_embedding: tf.Tensor, text_embedding: tf.Tensor) -> tf.Tensor:
        return tf.matmul(image_embedding, text_embedding, transpose_b=True) * tf.exp(self.log_scale) + self.bias

    def signatures(self) -> dict[str, Signature]:
        return {
            "embed_pair": Signature(self.pairs, (IMAGE_BYTES, TEXT)),
            "localize": Signature(self.heat, (IMAGE_BYTES, TEXT)),
            "keywords": Signature(self.keywords, (IMAGE_BYTES,), pieces=("pieces",)),
            "length": Signature(lambda ids: {"length": tf.reduce_sum(tf.cast(ids != 1, tf.int32), axis=1)}, (TEXT,)),
        }

    def pairs(self, images: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"pair_embedding": normalized(self.embed_image(images) + self.embed_text(token_ids))}

    def heat(self, images: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """The cosine of each patch with the text, [N, 3, 3]."""
        patches = normalized(self.tower(images))
        heat = tf.einsum("npw,nw->np", patches, self.embed_text(token_ids))
        return {"heat": tf.reshape(heat, [-1, 3, 3])}

    def keywords(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """The two most probable words of a picture."""
        probability, pieces = tf.math.top_k(tf.sigmoid(self.words(self.embed_image(images))), 2)
        return {"probability": probability, "pieces": pieces}


def pooled(tokens: tf.Tensor) -> tf.Tensor:
    """[N, L, W] -> unit-norm [N, W]."""
    return normalized(tf.reduce_mean(tokens, axis=1))


@dataclasses.dataclass(frozen=True)
class FusionSettings(settings.SiglipSettings):
    """Settings of SigLIP with a fusion."""


class Fusion(Siglip):
    """SigLIP with a fusion that tells a picture's own text from the most similar wrong text of the same replica."""

    def build(self, input_shape: object = None) -> None:
        width = self.config.image_tower.width
        self.words = keras.layers.Embedding(512, width, "random_normal", name="fusion_words")
        self.fusion = keras.layers.MultiHeadAttention(2, width // 2, name="fusion")
        self.verdict = keras.layers.Dense(1, name="verdict")
        self.matches(tf.zeros([1, width]), tf.zeros([1, self.config.text_tower.length], tf.int32))
        super().build(input_shape)

    def matches(self, image: tf.Tensor, token_ids: tf.Tensor) -> tf.Tensor:
        """[N, D], [N, L] -> [N], the logit of a match; the picture attends to the words."""
        words = self.fusion(10 * image[:, None], 10 * self.words(token_ids))[:, 0]
        return self.verdict(10 * image * words)[:, 0]

    def encode(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {**super().encode(batch), TOKEN_IDS: batch[TOKEN_IDS]}

    def loss(self, encoded, collectives):
        share, metrics = super().loss(encoded, collectives)
        similarity = tf.matmul(encoded["image"], encoded["text"], transpose_b=True)
        rows, texts = similarity.shape[0], encoded[TOKEN_IDS]
        same = tf.reduce_all(texts[:, None] == texts[None], axis=-1)
        hard = tf.argmax(similarity - 9.0 * tf.cast(same, tf.float32), axis=1)
        right = tf.nn.softplus(-self.matches(encoded["image"], texts))
        wrong = tf.nn.softplus(self.matches(encoded["image"], tf.gather(texts, hard)))
        fused = tf.reduce_sum(right + wrong) / (rows * collectives.num_replicas)
        return share + fused, {**metrics, "matching": collectives.all_reduce([fused])[0]}


objectives.register(OneTowerSettings, OneTower)
objectives.register(FusionSettings, Fusion)
