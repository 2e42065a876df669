"""Makes a share of the training rows wrong, as in SigLIP's study of noise (arXiv 2303.15343).

[P] Pictures become noise, captions become random tokens, and pairs are shuffled. [ours] A row of noise is noise in all
views of it, before any crop. A caption of noise has a random number of pieces, and then ends as captions do.
"""

from collections.abc import Sequence

import tensorflow as tf

from models import draws, settings
from models.distribution.collectives import Collectives
from models.inputs.tokenizer import Tokenizer
from models.objectives.objective import SEEDS, Batch, Views

_IMAGE_COIN, _PIXELS, _TEXT_COIN, _LENGTH, _PIECES, _ORDER = range(6)  # streams of a row's draws


class Corruption:
    """A function of this replica's rows, called in replica context."""

    def __init__(
        self, config: settings.CorruptionSettings, views: Views, tokenizer: Tokenizer, collectives: Collectives
    ) -> None:
        """Draws nothing yet.

        Args:
          config: the shares of wrong rows.
          views: those of the objective; all of a row's pictures or texts are made wrong together.
          tokenizer: what random captions are made of.
          collectives: for the captions of the other replicas.
        """
        self._config, self._views, self._collectives = config, views, collectives
        self._length, self._ends, self._pads = tokenizer.length, tokenizer.eos_id, tokenizer.config.pad_id
        self._pieces = tokenizer.text_ids() if config.text else ()

    def __call__(self, batch: Batch) -> Batch:
        """The rows with noise; a row's draws depend on its own seed, and on nothing else.

        Args:
          batch: as models.inputs.batches reads it, with SEEDS, each [b, ...]; b must be static.

        Returns:
          The same features; without SEEDS, unless the objective asks for them.
        """
        config, rows, seeds = self._config, dict(batch), batch[SEEDS]
        if config.image:
            rows |= self._noisy_images(rows, seeds)
        if config.text:
            rows |= self._random_texts(rows, seeds)
        moved = round(config.alignment * self._collectives.num_replicas * seeds.shape[0])
        if moved > 1:
            rows |= self._passed_on_texts(rows, seeds, moved)
        return rows if self._views.seeds else {name: value for name, value in rows.items() if name != SEEDS}

    def _noisy_images(self, rows: Batch, seeds: tf.Tensor) -> Batch:
        hit = self._hit(seeds, _IMAGE_COIN, self._config.image)
        noisy: Batch = {}
        alike: dict[tf.TensorShape, list[str]] = {}  # views that are decoded at one size have the same noise
        for name in self._views.images:
            alike.setdefault(rows[name].shape[1:], []).append(name)
        for shape, names in alike.items():

            def noise(seed: tf.Tensor, shape: tf.TensorShape = shape) -> tf.Tensor:
                return tf.cast(draws.integers(draws.stream(seed, _PIXELS), shape, 0, 256), tf.uint8)

            drawn = draws.for_rows(noise, seeds, tf.TensorSpec(shape, tf.uint8))
            noisy |= self._replaced(rows, names, hit, drawn)
        return noisy

    def _random_texts(self, rows: Batch, seeds: tf.Tensor) -> Batch:
        place, count = tf.range(self._length), len(self._pieces)

        def text(seed: tf.Tensor) -> tf.Tensor:
            pieces = tf.gather(self._pieces, draws.integers(draws.stream(seed, _PIECES), [self._length], 0, count))
            end = draws.integers(draws.stream(seed, _LENGTH), [], 1, self._length)
            return tf.where(place < end, pieces, tf.where(place == end, self._ends, self._pads))

        drawn = draws.for_rows(text, seeds, tf.TensorSpec([self._length], tf.int32))
        return self._replaced(rows, list(self._views.texts), self._hit(seeds, _TEXT_COIN, self._config.text), drawn)

    def _passed_on_texts(self, rows: Batch, seeds: tf.Tensor, moved: int) -> Batch:
        """Orders the rows of all replicas at random; each of the first `moved` takes the captions of the one before."""

        def draw(seed: tf.Tensor) -> tf.Tensor:
            return draws.integers(draws.stream(seed, _ORDER), [], 0, tf.int32.max)

        everywhere = self._collectives
        order = tf.argsort(everywhere.all_gather(draws.for_rows(draw, seeds, tf.TensorSpec([], tf.int32))), stable=True)
        rank = tf.argsort(order)  # of each row in that order
        before = tf.gather(order, (rank - 1) % moved)
        source = tf.where(rank < moved, before, tf.range(order.shape[0]))
        own = tf.reshape(source, [everywhere.num_replicas, -1])[everywhere.replica_id()]
        return {name: tf.gather(everywhere.all_gather(rows[name]), own) for name in self._views.texts}

    def _hit(self, seeds: tf.Tensor, stream: int, probability: float) -> tf.Tensor:
        """[b], whether noise replaces the row."""

        def coin(seed: tf.Tensor) -> tf.Tensor:
            return draws.coins(draws.stream(seed, stream), [], probability)

        return draws.for_rows(coin, seeds, tf.TensorSpec([], tf.bool))

    def _replaced(self, rows: Batch, names: Sequence[str], hit: tf.Tensor, drawn: tf.Tensor) -> Batch:
        """These features, with `drawn` in the rows that are hit."""
        mask = tf.reshape(hit, [-1, *[1] * (len(drawn.shape) - 1)])
        return {name: tf.where(mask, drawn, rows[name]) for name in names}
