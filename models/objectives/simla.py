"""Simla: single-stream multi-level alignment (arXiv 2203.14395)."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import tensorflow as tf
import tf_keras as keras

from models import settings
from models.distribution import state
from models.distribution.collectives import Collectives
from models.layers.momentum import MomentumCopy
from models.layers.queues import Queues
from models.layers.ramp import Ramp
from models.layers.word_masks import WordMasks
from models.objectives.objective import Batch, Encoded, Metrics, Run, Views
from models.objectives.objective_layer import ObjectiveLayer
from models.objectives.signatures import IMAGE_BYTES, PROBABILITY, Signature
from models.objectives.signatures import TEXT as TEXT_INPUT
from models.objectives.simla_terms import IMAGE, MODALITIES, TERMS, TEXT, Aids, Parts, Seen, Term
from models.objectives.simla_terms.itm import Itm, match_logits
from models.objectives.simla_terms.psl import keyword_logits
from models.objectives.simla_terms.vectors import Vectors
from models.objectives.training_only import TrainingOnly
from models.objectives.two_towers import at_least_float32, mean_logits, normalized
from models.settings.simla import LARGEST_TEMPERATURE, LEAST_TEMPERATURE
from models.towers import flops
from models.towers.fusion import Fusion
from models.towers.image_tower import ImageTower

_KEYWORDS = 10
_FAR = 1e6  # an entry of a centre that is never the nearest
_Value = TypeVar("_Value")
_SERVED_HEADS = ("itm", "psl")  # what the exported model answers with


class Simla(ObjectiveLayer):
    """An image tower under a fusion that encodes texts and pairs, and the terms whose weights are not 0.

    The embeddings are projections of both class outputs, unit norm. `encode` gives what one row decides alone (masked
    words, masked patches, keywords, its own match) as numbers a row; `loss` holds the contrast, and the pairs that do
    not match. A term that is off has no passes and no layers.
    """

    config: settings.SimlaSettings

    def __init__(self, config: settings.SimlaSettings, vocabulary_size: int, remat: str = "nothing") -> None:
        super().__init__(name="simla")
        self.config, self._vocabulary_size, self._remat = config, vocabulary_size, remat
        on = [term for term in TERMS if getattr(config, term.name)]
        self.views = Views(seeds=bool({"itm", "mlm", "mim"} & {term.name for term in on}), picture_ids=bool(config.itm))
        self.temperature = self.add_weight(
            "temperature", (), initializer=keras.initializers.Constant(config.temperature)
        )
        self._ramp: Callable[[], Ramp] = _untracked(Ramp(config.alpha, config.alpha_steps, name="ramp"))
        aids = Aids(lambda: self._ramp().now(), self.temperature, {})
        self._aids: Callable[[], Aids] = _untracked(aids)
        terms = [term(config, aids) for term in on]
        self._terms: Callable[[], Sequence[Term]] = _untracked(terms)
        own = self._make("")
        self._own: Callable[[], Parts] = _untracked(own)
        self.image_tower, self.fusion = own.image_tower, own.fusion
        self.projections = dict(own.projections)
        self.heads = {name: head for name, head in own.heads.items() if name in _SERVED_HEADS}
        self.training_only = TrainingOnly()

    def build(self, input_shape: object = None) -> None:
        own, config, aids = self._own(), self.config, self._aids()
        self._build_parts(own)
        copy = self._make("momentum_")
        self._build_parts(copy)
        self._copy: Callable[[], Parts] = _untracked(copy)
        self._momentum: Callable[[], MomentumCopy] = _untracked(
            MomentumCopy(list(zip(own.layers, copy.layers, strict=True)), config.momentum)
        )
        vectors = Vectors(config, name="training")
        vectors.build()
        aids.mask_vectors, aids.centres = vectors.masks, vectors.centres
        parts: list[keras.layers.Layer] = [self._ramp(), vectors, *copy.layers]
        parts += [head for name, head in own.heads.items() if name not in _SERVED_HEADS]
        if config.itc:
            aids.queues = Queues(config.queue_size, config.projection_dim, name="queues")
            parts.append(aids.queues)
        counted: list[keras.layers.Layer] = [self._ramp(), *([aids.queues] if aids.queues else [])]
        for layer in counted:
            with tf.name_scope(layer.name):
                layer.build()
        for term in self._terms():
            if isinstance(term, Itm):
                term.use(own)
        self.training_only = TrainingOnly(parts)
        self.start()
        self.built = True

    def prepare(self, run: Run) -> None:
        """Takes the pieces that may be masked or be keywords, and the visual codes."""
        config, aids = self.config, self._aids()
        text_ids, codebook = run.text_ids(), run.codebook
        aids.is_word = np.isin(np.arange(self._vocabulary_size), text_ids)
        if config.mlm:
            aids.words = WordMasks(text_ids, self._vocabulary_size, config.masked_words)
        if not config.mim:
            return
        if codebook is None:
            raise ValueError(
                "Simla.mim needs visual codes, but Run.codebook is None; give Run a codebook, or set Simla.mim = 0.0"
            )
        assert aids.centres is not None
        missing = aids.centres.shape[0] - len(codebook.centres)
        far: np.ndarray = np.full([missing, codebook.centres.shape[1]], _FAR, np.float32)
        aids.centres.assign(np.concatenate([codebook.centres, far]))

    @property
    def state(self) -> list[tf.Variable]:
        queues = self._aids().queues
        return [*self._momentum().variables, *(queues.state if queues else []), self._ramp().step]

    def start(self) -> None:
        self._momentum().start()

    def step_flops(self, batch_size: int) -> float:
        image, text = self.config.image_tower, self.config.text_tower
        picture, words = flops.image_tower(image), flops.fusion(text, 1 + text.length, 0)
        pair = flops.fusion(text, 1 + text.length, 1 + image.patches)
        reverse = flops.fusion(text, 1 + image.patches, 1 + text.length)
        config, third = self.config, 1 / 3  # a copy has no backward pass, which takes two thirds of a step
        copied = bool(config.itc or config.mlm or config.psl)
        forward = picture * (bool(copied or config.itm) + third * copied)  # mim has pictures of its own
        forward += words * (1 + third) * bool(config.itc) + 3 * pair * bool(config.itm)
        forward += pair * (1 + third) * bool(config.mlm) + pair * third * bool(config.psl)
        forward += (picture + reverse) * (1 + third) * bool(config.mim)
        return flops.train_step(forward, batch_size, config.projection_dim)

    def encode(self, batch: Batch) -> Encoded:
        seen = Seen(batch, self._own(), self._copy(), self._ramp().now())
        encoded: Encoded = {}
        for term in self._terms():
            encoded |= term.encode(seen)
        return encoded

    def loss(self, encoded: Encoded, collectives: Collectives) -> tuple[tf.Tensor, Metrics]:
        temperature = tf.convert_to_tensor(self.temperature)
        shares = {term.name: term.loss(encoded, collectives) for term in self._terms()}
        summed = collectives.all_reduce(list(shares.values()))
        metrics: Metrics = {f"{name}_loss": one for name, one in zip(shares, summed, strict=True)}
        total = tf.zeros([], summed[0].dtype)
        for term in self._terms():
            total += term.weight * shares[term.name]
        metrics |= {"temperature": temperature, "alpha": self._ramp().now()}
        if self.config.itc:
            metrics |= mean_logits(encoded, 1.0 / temperature, 0.0, collectives)
        elif self.config.itm:
            metrics["uniform_negatives"] = tf.constant(1.0)
        return total, metrics

    def after_update(self, encoded: Encoded, collectives: Collectives) -> None:
        self._momentum().move()
        if queues := self._aids().queues:
            queues.enqueue(*(collectives.all_gather(encoded[f"{m}_key"]) for m in MODALITIES))
        value = tf.clip_by_value(self.temperature.read_value(), LEAST_TEMPERATURE, LARGEST_TEMPERATURE)
        state.assign([(self.temperature, value)])
        self._ramp().advance()

    def embed_image(self, images: tf.Tensor) -> tf.Tensor:
        return self._embedding(IMAGE, self.image_tower(images))

    def embed_text(self, token_ids: tf.Tensor) -> tf.Tensor:
        return self._embedding(TEXT, self.fusion(token_ids)[:, 0])

    def logits(self, image_embedding: tf.Tensor, text_embedding: tf.Tensor) -> tf.Tensor:
        return tf.matmul(image_embedding, text_embedding, transpose_b=True) / self.temperature

    def signatures(self) -> dict[str, Signature]:
        """`match` and `localize` with itm, `keywords` with psl."""
        both = (IMAGE_BYTES, TEXT_INPUT)
        found = {"match": Signature(self.match, both), "localize": Signature(self.localize, both)}
        found = found if self.config.itm else {}
        if self.config.psl:
            found["keywords"] = Signature(self.keywords, (IMAGE_BYTES,), pieces=("pieces",))
        return found

    def match(self, images: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """The probability that picture and text belong together, of each pair, by the fusion: [N]."""
        logits = match_logits(self._own(), token_ids, self.image_tower.tokens(images))
        return {PROBABILITY: tf.nn.softmax(logits)[:, 1]}

    def localize(self, images: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        """Where the words look: [N, g, g], the mean over words and heads of the last cross-attention.

        The class token and padding are left out [ours; the paper uses Grad-CAM].
        """
        fusion, side = self.fusion, self.config.image_tower.size // self.config.image_tower.patch
        shown = fusion.seen(token_ids)
        _, weights = fusion.last_weights(fusion.embed(token_ids), shown, self.image_tower.tokens(images))
        heat = tf.reduce_mean(weights, axis=1)[:, 1:, 1:]
        words = tf.cast(shown[:, 1:, None], heat.dtype)
        mean = tf.math.divide_no_nan(tf.reduce_sum(heat * words, axis=1), tf.reduce_sum(words, axis=1))
        return {"heat": tf.reshape(mean, [-1, side, side])}

    def keywords(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """The most probable keywords of a picture, with their probabilities, [N, 10] each, the largest first."""
        logits = keyword_logits(self._own(), self.image_tower.tokens(images))
        probability, pieces = tf.math.top_k(tf.sigmoid(logits), min(_KEYWORDS, self._vocabulary_size))
        return {"pieces": pieces, PROBABILITY: probability}

    def _embedding(self, modality: str, output: tf.Tensor) -> tf.Tensor:
        return normalized(self.projections[modality](at_least_float32(output)))

    def _make(self, prefix: str) -> Parts:
        """The trained layers, or those of the momentum copy, without variables."""
        config = self.config
        heads = {t.name: t.head(f"{prefix}{t.name}_head", self._vocabulary_size) for t in self._terms()}
        return Parts(
            ImageTower(config.image_tower, self._remat, name=f"{prefix}image_tower"),
            Fusion(config.text_tower, self._vocabulary_size, self._remat, name=f"{prefix}fusion"),
            {m: keras.layers.Dense(config.projection_dim, name=f"{prefix}{m}_projection") for m in MODALITIES},
            {name: head for name, head in heads.items() if head is not None},
        )

    def _build_parts(self, parts: Parts) -> None:
        size, width = self.config.image_tower.size, self.config.image_tower.width
        parts.image_tower(tf.zeros([1, size, size, 3]))
        parts.fusion(tf.zeros([1, self.config.text_tower.length], tf.int32))
        for layer in (*parts.projections.values(), *parts.heads.values()):
            with tf.name_scope(layer.name):
                layer.build((None, width))


def _untracked(value: _Value) -> Callable[[], _Value]:
    """A function that returns the value: Keras finds layers in attributes, but not in functions."""
    return lambda: value
