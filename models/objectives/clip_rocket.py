"""ClipRocket: improved CLIP with two kinds of views and further terms (CLIP-rocket, arXiv 2305.08675)."""

import math
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf
import tf_keras as keras

from models import draws, settings
from models.distribution import state
from models.distribution.collectives import Collectives
from models.layers.mlp import Mlp
from models.losses.sigmoid import sigmoid_loss
from models.losses.softmax import softmax_loss
from models.objectives import ensemble, rocket_terms
from models.objectives.objective import CARRIED, IMAGES, SEEDS, TOKEN_IDS, Batch, Encoded, Metrics, ScoredRows, Views
from models.objectives.rocket_terms import IMAGE, MODALITIES, TEXT
from models.objectives.training_only import TrainingOnly
from models.objectives.two_towers import TwoTowers, at_least_float32, encode_views, mean_logits, normalized
from models.settings.clip_rocket import LARGEST_SCALE
from models.towers import flops
from models.towers.image_tower import ImageTower
from models.towers.text_tower import TextTower

_DROPOUT = 16  # the first stream of a row's draws for dropout; corruption has those before


class ClipRocket(TwoTowers):
    """One global pair of views and n local pairs, each contrasted after a projector of its kind [P].

    L = weight * [L(z_I, z_T) + n * mean_ab L_e(h_I^a, h_T^b)] / (1 + n) + sum of terms. L is the softmax loss of both
    directions, with label smoothing e on local pairs, or SigLIP's sigmoid loss. z is the global projection, linear; h
    is the local one, of three dense layers with batch normalisation. Every kind has a logit scale of its own.

    `encode` gives the outputs of the towers, float32, not normalised: "image" and "text", [N, width], of the global
    views, and "local_image" and "local_text", [N, n, width]. Projectors belong to `loss`, because their batch
    normalisation compares rows.

    [ours]: each view is a batch of its own for batch normalisation; running statistics move once a step, towards the
    mean over the views.
    """

    config: settings.ClipRocketSettings

    def __init__(self, config: settings.ClipRocketSettings, vocabulary_size: int, remat: str = "nothing") -> None:
        super().__init__(config, vocabulary_size, remat, name="clip_rocket")
        self._copied = (vocabulary_size, remat)
        local = range(config.local_views)
        self._images = tuple(f"local_{IMAGES}_{i}" for i in local)
        self._texts = tuple(f"local_{TOKEN_IDS}_{i}" for i in local)
        self.views = Views(
            images={IMAGES: config.global_images, **dict.fromkeys(self._images, config.local_images)},
            texts={TOKEN_IDS: config.global_texts, **dict.fromkeys(self._texts, config.local_texts)},
            seeds=config.drops_out,
        )
        dim, width = config.projection_dim, config.image_tower.width
        self.projectors = {
            m: keras.layers.Dense(
                dim,
                use_bias=False,
                kernel_initializer=keras.initializers.RandomNormal(stddev=width**-0.5),
                name=f"{m}_projector",
            )
            for m in MODALITIES
        }
        sizes = (config.local_hidden, config.local_hidden, dim) if config.local_hidden else (dim,)
        self.local_projectors = {m: Mlp(sizes, name=f"local_{m}_projector") for m in MODALITIES} if local else {}
        self.log_scale = self.scalar("log_scale", math.log(config.logit_scale))
        if local:
            self.local_log_scale = self.scalar("local_log_scale", math.log(config.local_logit_scale))
        has_bias = config.contrast == "sigmoid"
        self.bias = self.scalar("bias", config.logit_bias) if has_bias else None
        self.local_bias = self.scalar("local_bias", config.logit_bias) if has_bias and local else None
        fixed = config.ensemble_weight
        self.finishes = config.finishes
        if local:
            start_weight = keras.initializers.Constant(ensemble.START if fixed is None else fixed)
            self.ensemble_weight = self.add_weight("ensemble_weight", (), initializer=start_weight, trainable=False)
        towers = rocket_terms.Towers({IMAGE: self.image_tower, TEXT: self.text_tower}, self._make_tower, width)
        made = [rocket_terms.create(term, towers) for term in config.terms]
        self._terms: Callable[[], Sequence[rocket_terms.Term]] = lambda: made  # untracked: not exported
        self.training_only = TrainingOnly(made)

    def build(self, input_shape: object = None) -> None:
        width = self.config.image_tower.width
        for layer in (*self.projectors.values(), *self.local_projectors.values()):
            with tf.name_scope(layer.name):
                layer.build((None, width))
        super().build()
        for term in self._terms():
            term.build()

    @property
    def state(self) -> list[tf.Variable]:
        own = [variable for mlp in self.local_projectors.values() for variable in mlp.state]
        own += [self.ensemble_weight] if self.local_projectors else []
        return own + [variable for term in self._terms() for variable in term.state]

    def start(self) -> None:
        for term in self._terms():
            term.start()

    def step_flops(self, batch_size: int) -> float:
        width, dim, n = self.config.image_tower.width, self.config.projection_dim, self.config.local_views
        towers = flops.image_tower(self.config.image_tower) + flops.text_tower(self.config.text_tower, width)
        projectors = 2 * 2 * width * dim + n * sum(mlp.flops() for mlp in self.local_projectors.values())
        forward = (1 + n) * (towers + sum(term.flops() for term in self._terms())) + projectors
        return flops.train_step(forward, batch_size, dim * (1 + n * n))

    def encode(self, batch: Batch) -> Encoded:
        views = {
            IMAGE: [batch[name] for name in (IMAGES, *self._images)],
            TEXT: [batch[name] for name in (TOKEN_IDS, *self._texts)],
        }
        seeds = self._dropout_seeds(batch)
        encoded = {}
        for m, tower in ((IMAGE, self.image_tower), (TEXT, self.text_tower)):
            encoded[m] = encode_views(tower, views[m][:1], True, seeds[m, "global"])[:, 0]
            if self.local_projectors:
                encoded[f"local_{m}"] = encode_views(tower, views[m][1:], True, seeds[m, "local"])
        for term in self._terms():
            encoded |= term.encode(views)
        return encoded

    def loss(self, encoded: Encoded, collectives: Collectives) -> tuple[tf.Tensor, Metrics]:
        z = {m: self._global(m, encoded[m]) for m in MODALITIES}
        scale = tf.convert_to_tensor(self.log_scale)
        share = _contrast(z[IMAGE], z[TEXT], scale, self.bias, 0.0, collectives)
        metrics: Metrics = {}
        h: dict[str, tf.Tensor] = {}
        carried: dict[str, tf.Tensor] = {}
        local_scale = None
        if self.local_projectors:
            h, carried = self._locals(encoded, collectives)
            local_scale = tf.convert_to_tensor(self.local_log_scale)
            share = (share + self._local_share(h, local_scale, collectives)) / (1 + self.config.local_views)
            metrics["local_logit_scale"] = tf.exp(local_scale)
        share *= self.config.contrastive_weight
        rows = rocket_terms.Rows(self._features(encoded), h, local_scale, encoded)
        for term in self._terms():
            added = term.config.weight * term.loss(rows, collectives)
            share += added
            (metrics[f"{term.name}_loss"],) = collectives.all_reduce([added])
        bias = 0.0 if self.bias is None else tf.convert_to_tensor(self.bias)
        metrics |= {"logit_scale": tf.exp(scale), **({} if self.bias is None else {"logit_bias": bias})}
        metrics |= mean_logits(z, tf.exp(scale), bias, collectives)
        return share, {**metrics, **{CARRIED + name: value for name, value in carried.items()}}

    def after_update(self, encoded: Encoded, collectives: Collectives) -> None:
        scales = [self.log_scale, *([self.local_log_scale] if self.local_projectors else [])]
        state.assign([(one, tf.clip_by_value(one.read_value(), 0.0, math.log(LARGEST_SCALE))) for one in scales])
        carried = {name.removeprefix(CARRIED): v for name, v in encoded.items() if name.startswith(CARRIED)}
        for mlp in self.local_projectors.values():
            mlp.move(carried)
        for term in self._terms():
            term.after_update()

    def finish(self, held_out: ScoredRows) -> dict[str, float]:
        """Chooses the weight of global similarities (models.objectives.ensemble)."""
        self.ensemble_weight.assign(ensemble.START)
        weight, recalls = ensemble.chosen(held_out)
        self.ensemble_weight.assign(weight)
        return {**recalls, "ensemble_weight": weight}

    def embed_image(self, images: tf.Tensor) -> tf.Tensor:
        return self._embedding(IMAGE, self.image_tower(images))

    def embed_text(self, token_ids: tf.Tensor) -> tf.Tensor:
        return self._embedding(TEXT, self.text_tower(token_ids))

    def logits(self, image_embedding: tf.Tensor, text_embedding: tf.Tensor) -> tf.Tensor:
        """The mixed similarity, with scale and bias of the global pair [ours]."""
        similarity = tf.matmul(image_embedding, text_embedding, transpose_b=True)
        return similarity * tf.exp(self.log_scale) + (0.0 if self.bias is None else self.bias)

    def _dropout_seeds(self, batch: Batch) -> dict[tuple[str, str], list[tf.Tensor]]:
        """{(modality, kind): int32 [N, 2] for each view of that kind}; empty where nothing drops out."""
        n = self.config.local_views
        numbers = {"global": range(1), "local": range(1, 1 + n)}
        found: dict[tuple[str, str], list[tf.Tensor]] = {(m, kind): [] for m in MODALITIES for kind in numbers}
        for kind, own in self.config.text_views.items():
            if own and own.dropout and self.config.drops_out:
                found[TEXT, kind] = [draws.streams(batch[SEEDS], _DROPOUT + number) for number in numbers[kind]]
        return found

    def _local_share(self, h: Mapping[str, tf.Tensor], log_scale: tf.Tensor, collectives: Collectives) -> tf.Tensor:
        """The mean of the contrast over the n x n local pairs, times n."""
        n, smoothing = self.config.local_views, self.config.label_smoothing
        total = tf.zeros([], h[IMAGE].dtype)
        for a in range(n):
            for b in range(n):
                total += _contrast(h[IMAGE][a], h[TEXT][b], log_scale, self.local_bias, smoothing, collectives)
        return total / n

    def _global(self, modality: str, features: tf.Tensor) -> tf.Tensor:
        return normalized(self.projectors[modality](features))

    def _locals(self, encoded: Encoded, collectives: Collectives) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """{IMAGE or TEXT: unit-norm [n, b, D]} of the local views, and the statistics of the batch."""
        h: dict[str, tf.Tensor] = {}
        moments: dict[str, tf.Tensor] = {}
        for m, mlp in self.local_projectors.items():
            projected, found = mlp.of_batch(tf.transpose(encoded[f"local_{m}"], [1, 0, 2]), collectives)
            h[m] = normalized(projected)
            moments |= found
        return h, moments

    def _features(self, encoded: Encoded) -> dict[str, tf.Tensor]:
        """{IMAGE or TEXT: [1 + n, b, width]}: the global view, then the local ones."""
        found = {m: encoded[m][None] for m in MODALITIES}
        if self.local_projectors:
            found = {
                m: tf.concat([one, tf.transpose(encoded[f"local_{m}"], [1, 0, 2])], axis=0) for m, one in found.items()
            }
        return found

    def _embedding(self, modality: str, features: tf.Tensor) -> tf.Tensor:
        features = at_least_float32(features)
        z = self._global(modality, features)
        if not self.local_projectors:
            return z
        h = normalized(self.local_projectors[modality](features))
        return ensemble.mixed(z, h, tf.convert_to_tensor(self.ensemble_weight))

    def _make_tower(self, modality: str, name: str) -> keras.layers.Layer:
        """Another tower of a modality, built, with weights drawn anew."""
        vocabulary_size, remat = self._copied
        if modality == IMAGE:
            tower, size = ImageTower(self.config.image_tower, remat, name=name), self.config.image_tower.size
            tower(tf.zeros([1, size, size, 3]))
            return tower
        width = self.config.image_tower.width
        tower = TextTower(self.config.text_tower, vocabulary_size, width, remat, name=name)
        tower(tf.zeros([1, self.config.text_tower.length], tf.int32))
        return tower


def _contrast(
    image: tf.Tensor,
    text: tf.Tensor,
    log_scale: tf.Tensor,
    bias: tf.Variable | None,
    label_smoothing: float,
    collectives: Collectives,
) -> tf.Tensor:
    """The sigmoid loss if there is a bias, else the softmax loss."""
    if bias is not None:
        return sigmoid_loss(image, text, log_scale, tf.convert_to_tensor(bias), collectives)
    return softmax_loss(image, text, log_scale, collectives, label_smoothing)
