"""Oner: one tower for both modalities (OneR, arXiv 2211.11153). A reconstruction: the full text was not at hand.

Marks: [P] abstract, introduction or the authors' page; [T] a summary by others; [ours] our own choice.
"""

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf
import tf_keras as keras

from models import settings
from models.distribution.collectives import Collectives
from models.layers.mlp import Mlp
from models.layers.momentum import ScheduledCopy
from models.losses.sigmoid import sigmoid_loss
from models.losses.softmax import one_way_softmax_loss
from models.objectives.objective import IMAGES, TOKEN_IDS, Batch, Encoded, Metrics, Run, Views
from models.objectives.objective_layer import ObjectiveLayer
from models.objectives.oner_parts import flops as oner_flops
from models.objectives.oner_parts import signatures as oner_signatures
from models.objectives.oner_parts.flops import IMAGE, PAIR, TEXT
from models.objectives.oner_parts.masked_prediction import MaskedPrediction
from models.objectives.signatures import Signature
from models.objectives.training_only import TrainingOnly
from models.objectives.two_towers import mean_logits
from models.settings.oner import CONTRASTIVE, MASKED
from models.towers import flops
from models.towers.one_tower import OneTower

IMAGE_OVER_TEXT, TEXT_OVER_IMAGE = "image_over_text", "text_over_image"
MOMENTUM_IMAGES, MOMENTUM_TOKEN_IDS = "momentum_images", "momentum_token_ids"
KEY_IMAGE, KEY_TEXT = "key_image", "key_text"


@dataclasses.dataclass(frozen=True)
class _Parts:
    """What only training needs; None where no term needs it."""

    momentum: OneTower | None
    copy: ScheduledCopy | None
    predictor: Mlp | None
    masked: MaskedPrediction | None

    def layers(self) -> list[keras.layers.Layer]:
        heads = self.masked.heads if self.masked else ()
        parts = (self.momentum, self.copy.counter if self.copy else None, self.predictor, *heads)
        return [part for part in parts if part is not None]


class Oner(ObjectiveLayer):
    """Picture and caption are two views of the same thing, seen by one tower with one projection [P].

    q are unit-norm outputs of the online tower, k those of a momentum copy, without gradient, of another augmentation
    of the picture and another draw of the caption [T]; there is no queue [ours]. n(x) scales x to unit norm, and
    ctr(q, k) = -(1/|B|) sum_i log softmax_j(q_i . k_j / tau)[i], or SigLIP's sigmoid loss. The terms, k_M =
    n((k_I + k_T) / 2):

    itc: (ctr(q_I, k_T) + ctr(q_T, k_I)) / 2. [P] Alone, it leaves a gap between the modalities.
    xmc: (ctr(q_I, k_M) + ctr(q_T, k_M)) / 2 [ours], or ctr(n((q_I + q_T) / 2), k_M) with mix_queries [T].
    cic: ctr(n((q_I|T + q_T|I) / 2), k_M), I|T being queries of the picture over keys and values of the text [T].
    cmc: ctr(q_[I;T], k_M), picture and text in one sequence [T].
    mim, mlm, mmm: masked patches, masked words, and both in one sequence (oner_parts.masked_prediction).

    `encode` gives the unit-norm outputs of the passes that the weights ask for, [N, D], in float32 at least, and the
    errors at masked places. The predictor, which has batch normalisation, belongs to `loss`; it reads unit-norm outputs
    [ours].
    """

    config: settings.OnerSettings

    def __init__(self, config: settings.OnerSettings, vocabulary_size: int, remat: str = "nothing") -> None:
        super().__init__(name="oner")
        self.config = config
        masks, contrasts = (any(getattr(config, term) for term in terms) for terms in (MASKED, CONTRASTIVE))
        images = [IMAGES, MOMENTUM_IMAGES] if contrasts else [IMAGES]
        texts = [TOKEN_IDS, MOMENTUM_TOKEN_IDS] if contrasts else [TOKEN_IDS]
        self.views = Views(images=dict.fromkeys(images), texts=dict.fromkeys(texts), seeds=masks)
        self.tower = OneTower(config.tower, vocabulary_size, remat, name="one_tower")
        momentum = OneTower(config.tower, vocabulary_size, remat, name="momentum_tower") if contrasts else None
        copy = ScheduledCopy([(self.tower, momentum)], config.momentum) if momentum else None
        head = (config.predictor_hidden, config.tower.projection_dim)
        predictor = Mlp(head, "plain", tracked=False, name="predictor") if config.predictor and contrasts else None
        masked = MaskedPrediction(config, vocabulary_size) if masks else None
        has_bias = config.contrast == "sigmoid"
        self.log_scale = self.scalar("log_scale", math.log(config.logit_scale)) if has_bias else None
        self.bias = self.scalar("bias", config.logit_bias) if has_bias else None
        parts = _Parts(momentum, copy, predictor, masked)
        self.training_only = TrainingOnly(parts.layers())
        self._parts: Callable[[], _Parts] = lambda: parts  # untracked, as these layers are not exported

    def build(self, input_shape: object = None) -> None:
        parts = self._parts()
        self.tower.build()
        if parts.momentum and parts.copy:
            parts.momentum.build()
            parts.copy.build()
        if parts.predictor:
            with tf.name_scope(parts.predictor.name):
                parts.predictor.build((None, self.config.tower.projection_dim))
        if parts.masked:
            parts.masked.build()
        self.start()
        super().build(input_shape)

    def prepare(self, run: Run) -> None:
        """Takes the number of steps, for the schedule of the momentum, and the pieces that may be masked."""
        parts = self._parts()
        if parts.copy:
            parts.copy.prepare(run.steps)
        if parts.masked and (self.config.mlm or self.config.mmm):
            parts.masked.prepare(run.text_ids())

    @property
    def state(self) -> list[tf.Variable]:
        copy = self._parts().copy
        return copy.state if copy else []

    def start(self) -> None:
        copy = self._parts().copy
        if copy:
            copy.start()

    def encode(self, batch: Batch) -> Encoded:
        momentum, masked = self._parts().momentum, self._parts().masked
        encoded = self._queries(batch[IMAGES], batch[TOKEN_IDS])
        if momentum:
            encoded[KEY_IMAGE] = tf.stop_gradient(momentum.image(batch[MOMENTUM_IMAGES]).embedding)
            encoded[KEY_TEXT] = tf.stop_gradient(momentum.text(batch[MOMENTUM_TOKEN_IDS]).embedding)
        return encoded | (masked.encode(self.tower, batch) if masked else {})

    def loss(self, encoded: Encoded, collectives: Collectives) -> tuple[tf.Tensor, Metrics]:
        copy, masked = self._parts().copy, self._parts().masked
        terms = self._contrasts(encoded, collectives) if copy else {}
        if masked:
            terms |= masked.losses(encoded, collectives)
        weighted = [getattr(self.config, name) * one for name, one in terms.items()]
        share = weighted[0]
        for one in weighted[1:]:
            share += one
        summed = collectives.all_reduce(weighted)
        metrics = {f"{name}_loss": value for name, value in zip(terms, summed, strict=True)}
        if copy:
            metrics["momentum"] = copy.decay(tf.float32)
        if self.config.contrast == "sigmoid":
            metrics |= {"logit_scale": self._scale(), "logit_bias": tf.convert_to_tensor(self.bias)}
        if IMAGE in encoded:
            pairs = {IMAGE: encoded[IMAGE], TEXT: encoded[KEY_TEXT]}
            metrics |= mean_logits(pairs, tf.cast(self._scale(), pairs[IMAGE].dtype), self._bias(), collectives)
        return share, metrics

    def after_update(self, encoded: Encoded, collectives: Collectives) -> None:
        """Moves the momentum copy, by the schedule, and counts the step."""
        copy = self._parts().copy
        if copy:
            copy.move()

    def step_flops(self, batch_size: int) -> float:
        predictor, masked = self._parts().predictor, self._parts().masked
        queries, dim = len(self._query_names()), self.config.tower.projection_dim
        forward = oner_flops.towers(self.config) + (masked.flops() if masked else 0.0)
        forward += queries * predictor.flops() if predictor else 0.0
        return flops.train_step(forward, batch_size, queries * dim)

    def embed_image(self, images: tf.Tensor) -> tf.Tensor:
        return self.tower.image(images).embedding

    def embed_text(self, token_ids: tf.Tensor) -> tf.Tensor:
        return self.tower.text(token_ids).embedding

    def embed_pair(self, images: tf.Tensor, token_ids: tf.Tensor) -> tf.Tensor:
        """[N, S, S, 3], [N, L] -> unit-norm [N, D], picture and text in one sequence."""
        return self.tower.pair(images, token_ids).embedding

    def embed_patches(self, images: tf.Tensor) -> tf.Tensor:
        """[N, S, S, 3] -> unit-norm [N, g, g, D]: the projected output of each patch, row by row [P]."""
        grid = self.config.tower.grid
        projected = self.tower.projected(self.tower.image(images).tokens)
        return tf.reshape(projected, [-1, grid, grid, self.config.tower.projection_dim])

    def signatures(self) -> dict[str, Signature]:
        return oner_signatures.signatures(self)

    def logits(self, image_embedding: tf.Tensor, text_embedding: tf.Tensor) -> tf.Tensor:
        similarity = tf.matmul(image_embedding, text_embedding, transpose_b=True)
        return similarity * tf.cast(self._scale(), similarity.dtype) + tf.cast(self._bias(), similarity.dtype)

    def _query_names(self) -> list[str]:
        """The passes of the online tower that contrasts compare."""
        config = self.config
        crossed = [IMAGE_OVER_TEXT, TEXT_OVER_IMAGE] if config.cic else []
        return [*oner_flops.query_passes(config), *crossed]

    def _queries(self, images: tf.Tensor, token_ids: tf.Tensor) -> Encoded:
        names = self._query_names()
        found: Encoded = {}
        if IMAGE in names:
            found[IMAGE] = self.tower.image(images, training=True).embedding
            found[TEXT] = self.tower.text(token_ids, training=True).embedding
        if self.config.cic:
            over_text, over_image = self.tower.crossed(images, token_ids, training=True)
            found |= {IMAGE_OVER_TEXT: over_text.embedding, TEXT_OVER_IMAGE: over_image.embedding}
        if self.config.cmc:
            found[PAIR] = self.tower.pair(images, token_ids, training=True).embedding
        return found

    def _contrasts(self, encoded: Encoded, collectives: Collectives) -> dict[str, tf.Tensor]:
        """This replica's share of each contrastive term, before its weight."""
        config, q = self.config, self._predicted(encoded, collectives)
        keys = {IMAGE: encoded[KEY_IMAGE], TEXT: encoded[KEY_TEXT]}
        mixed = _mean(keys[IMAGE], keys[TEXT])
        terms = {}
        if config.itc:
            both = (self._ctr(q[IMAGE], keys[TEXT], collectives), self._ctr(q[TEXT], keys[IMAGE], collectives))
            terms["itc"] = (both[0] + both[1]) / 2
        if config.xmc and config.mix_queries:
            terms["xmc"] = self._ctr(_mean(q[IMAGE], q[TEXT]), mixed, collectives)
        elif config.xmc:
            terms["xmc"] = (self._ctr(q[IMAGE], mixed, collectives) + self._ctr(q[TEXT], mixed, collectives)) / 2
        if config.cic:
            terms["cic"] = self._ctr(_mean(q[IMAGE_OVER_TEXT], q[TEXT_OVER_IMAGE]), mixed, collectives)
        if config.cmc:
            terms["cmc"] = self._ctr(q[PAIR], mixed, collectives)
        return terms

    def _predicted(self, encoded: Encoded, collectives: Collectives) -> dict[str, tf.Tensor]:
        """The queries, by name; with the predictor, what it gives. Each pass is a batch of its own for its norms."""
        names, predictor = self._query_names(), self._parts().predictor
        if not predictor:
            return {name: encoded[name] for name in names}
        outputs, _ = predictor.of_batch(tf.stack([encoded[name] for name in names]), collectives)
        return dict(zip(names, tf.unstack(tf.nn.l2_normalize(outputs, axis=-1)), strict=True))

    def _ctr(self, queries: tf.Tensor, keys: tf.Tensor, collectives: Collectives) -> tf.Tensor:
        """This replica's share of ctr(q, k); keys get no gradient."""
        if self.bias is not None:
            scalars = tf.convert_to_tensor(self.log_scale), tf.convert_to_tensor(self.bias)
            return sigmoid_loss(queries, tf.stop_gradient(keys), *scalars, collectives)
        log_scale = tf.constant(-math.log(self.config.temperature), queries.dtype)
        return one_way_softmax_loss(queries, keys, log_scale, collectives, keys_learn=False)

    def _scale(self) -> tf.Tensor | float:
        return 1.0 / self.config.temperature if self.log_scale is None else tf.exp(self.log_scale)

    def _bias(self) -> tf.Tensor | float:
        return 0.0 if self.bias is None else tf.convert_to_tensor(self.bias)


def _mean(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """n((x + y) / 2), row by row."""
    return tf.nn.l2_normalize((one + other) / 2, axis=-1)
