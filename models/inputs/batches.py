"""Training batches in an order that only the seed decides, from any position in it.

A pass permutes the shards, reads some side by side (a group), and shuffles one buffer of their rows after the other;
every choice is drawn from the seed and the numbers of pass, group and buffer. So a position is three numbers, which
travel with each batch: a checkpoint keeps them, and a resumed run goes on with the very next row, having read no more
than one group again.
"""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from models import features, settings
from models.inputs import crops, images, tfrecords
from models.inputs.rand_augment import rand_augment
from models.inputs.tokenizer import Tokenizer
from models.objectives.objective import SEEDS, Views, boxes_of

POSITION = "position"
START = (0, 0, 0)
_PIXELS, _CAPTIONS, _COUNT = "pixels", "captions", "count"


@dataclasses.dataclass(frozen=True)
class InputPipeline:
    """One of several that share all rows evenly.

    Whole shards go to one reader each, as far as they can be shared out evenly; of the rest, which shards changes from
    pass to pass, every reader takes each `count`-th row. So a shard too few neither starves nor repeats anyone.

    Attributes:
      index: which reader this is, from 0.
      count: how many there are.
    """

    index: int = 0
    count: int = 1


class Batches:
    """Endless batches from the shards of a split."""

    def __init__(
        self,
        paths: Sequence[str],
        tokenizer: Tokenizer,
        config: settings.TrainingSettings,
        views: Views = Views(),
    ) -> None:
        """Looks at the shards; nothing is decoded yet.

        Args:
          paths: TFRecord shards of serialized tf.Example, gzipped where the name ends in .gz.
          tokenizer: makes the token ids.
          config: how pictures are prepared, shuffle buffer, shards at once, cache, augmentation and
            seed; batch size, for the check.
          views: what the objective wants to see of each pair.

        Raises:
          NotEnoughRows: there are fewer rows than one batch needs.
        """
        tfrecords.require_rows(paths, config.batch_size)
        self._paths, self._tokenizer, self._config = sorted(paths), tokenizer, config
        self._views = views

    def read(self, rows: int, reader: InputPipeline = InputPipeline(), start: Sequence[int] = START) -> tf.data.Dataset:
        """Batches of one reader: each full, however many rows a pass has.

        Args:
          rows: of each batch, b.
          reader: whose rows.
          start: pass, group and row to go on from, as the last batch that was used gave it.

        Returns:
          {"position": int64 [3]}, for each of the views' texts NAME: int32 [b, L], for each of their images NAME: uint8
          [b, S, S, 3], and where it is cropped NAME_boxes: float32 [b, 4]. Where the views ask for them, "seeds": int32
          [b, 2], and "image_embedding": float32 [b, D]. What is drawn, is drawn anew at each visit of a row, and does
          not depend on the batch it falls into.
        """
        if self._config.cache:
            decoded = self._from_memory(reader, start)
        else:
            decoded = self._from_shards(reader, start).map(
                lambda example, position: (self._decode(example), position),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
        augmented = decoded.map(
            lambda row, position: (self._augment(row, reader, position), position),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        batched = augmented.batch(rows, drop_remainder=True)
        return batched.map(lambda batch, positions: {**batch, POSITION: positions[-1]}).prefetch(2)

    def _decode(self, example: tf.Tensor) -> dict[str, tf.Tensor]:
        captions = self._tokenizer(tfrecords.parse_captions([example]).flat_values)
        decoded = {_CAPTIONS: captions, _COUNT: tf.shape(captions)[0]}
        if self._views.images:
            image = tfrecords.parse([example], (features.IMAGE,))[features.IMAGE][0]
            decoded[_PIXELS] = images.decode_and_resize(image, self._config.objective.image_input)
        if self._views.image_embedding:
            decoded[features.IMAGE_EMBEDDING] = tfrecords.parse_embeddings([example], self._views.image_embedding)[0]
        return decoded

    def _augment(self, row: dict[str, tf.Tensor], reader: InputPipeline, position: tf.Tensor) -> dict[str, tf.Tensor]:
        """The row as it is seen at this visit: a caption for each text, and its picture once a view."""
        seen = {}
        for view, name in enumerate(self._views.texts):
            draw = tf.random.stateless_uniform([], self._seed(reader, position, 2, view), alg="philox")
            caption = tf.cast(draw * tf.cast(row[_COUNT], tf.float32), tf.int32)
            seen[name] = row[_CAPTIONS][tf.minimum(caption, row[_COUNT] - 1)]
        if self._views.seeds:
            seed = self._seed(reader, position, 3, 0)
            seen[SEEDS] = tf.random.stateless_uniform([2], seed, None, None, tf.int32, alg="philox")
        if features.IMAGE_EMBEDDING in row:
            seen[features.IMAGE_EMBEDDING] = row[features.IMAGE_EMBEDDING]
        for view, (name, own) in enumerate(self._views.images.items()):
            augmentation = own or self._config.augmentation
            seen[name] = row[_PIXELS]
            if crops.draws_boxes(augmentation):
                seen[boxes_of(name)] = crops.random_box(augmentation, self._seed(reader, position, 0, view))
            if augmentation.rand_augment_layers:
                seen[name] = rand_augment(
                    row[_PIXELS],
                    augmentation.rand_augment_layers,
                    augmentation.rand_augment_magnitude,
                    self._seed(reader, position, 1, view),
                )
        return seen

    def _seed(self, reader: InputPipeline, position: tf.Tensor, purpose: int, view: int) -> tf.Tensor:
        """int64 [2], another for each visit of each row, each purpose and each view."""
        number, group, row = tf.unstack(position)
        first = tf.constant(self._config.seed * 1_000_003 + reader.index + (2**8 * purpose + view) * 2**40, tf.int64)
        second = (number * 2**20 + group) * 2**24 + row  # one number a visit, up to 2^24 rows a group
        return tf.stack([first, second])

    def _from_shards(self, reader: InputPipeline, start: Sequence[int]) -> tf.data.Dataset:
        """(serialized row, position after it), endless."""
        paths, shards = tf.constant(self._paths), len(self._paths)
        config, at_once = self._config, self._config.shards_at_once
        whole = shards // reader.count  # shards that this reader has for itself in a pass
        mine = whole + shards % reader.count
        groups = -(-mine // at_once)
        first_pass, first_group, first_row = (tf.constant(number, tf.int64) for number in start)

        def shard_rows(path: tf.Tensor, shared: tf.Tensor, turn: tf.Tensor) -> tf.data.Dataset:
            readers = tf.where(shared, tf.constant(reader.count, tf.int64), 1)
            index = tf.where(shared, tf.constant(reader.index, tf.int64), 0)
            # Who gets the first row is drawn for each shard and pass: shards shorter than `count` would starve someone.
            rows = tfrecords.read_shard(path).enumerate()
            return rows.filter(lambda i, _: (i + turn) % readers == index).map(lambda _, row: row)

        def group_rows(number: tf.Tensor, group: tf.Tensor, shards_of_pass: tuple[tf.Tensor, ...]) -> tf.data.Dataset:
            members = [part[group * at_once : (group + 1) * at_once] for part in shards_of_pass]
            rows = tf.data.Dataset.from_tensor_slices(tuple(members)).interleave(
                shard_rows, cycle_length=min(at_once, mine), block_length=1
            )
            windows = rows.batch(config.shuffle_buffer).enumerate()
            rows = windows.flat_map(lambda window, held: _shuffled(held, [config.seed, number, group, window]))
            resumed = tf.logical_and(tf.equal(number, first_pass), tf.equal(group, first_group))
            rows = rows.enumerate(start=1).skip(tf.where(resumed, first_row, 0))
            return rows.map(lambda i, row: (row, tf.stack([number, group, i])))

        def pass_rows(number: tf.Tensor) -> tf.data.Dataset:
            order = _permutation(shards, [config.seed, number])
            own = order[: whole * reader.count][reader.index :: reader.count]
            members = tf.concat([own, order[whole * reader.count :]], axis=0)
            shared = tf.range(mine) >= whole
            turns = tf.gather(_permutation(shards * reader.count, [config.seed, number, -1]), members)
            turns = tf.cast(tf.where(shared, turns, 0), tf.int64)
            of_pass = (tf.gather(paths, members), shared, turns)
            begin = tf.where(tf.equal(number, first_pass), first_group, 0)
            return tf.data.Dataset.range(begin, groups).flat_map(lambda group: group_rows(number, group, of_pass))

        return tf.data.Dataset.counter(start=first_pass).flat_map(pass_rows)

    def _from_memory(self, reader: InputPipeline, start: Sequence[int]) -> tf.data.Dataset:
        """(decoded row, position after it), endless; every row of this reader is decoded once, now."""
        rows = tfrecords.read_shards(self._paths).enumerate().filter(lambda i, _: i % reader.count == reader.index)
        decoded = rows.map(
            lambda _, example: self._decode(example), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
        parts: dict[str, list[tf.Tensor]] = {}
        for batch in decoded.ragged_batch(256):
            for name, value in batch.items():
                parts.setdefault(name, []).append(value)
        table = {name: tf.concat(values, axis=0) for name, values in parts.items()}
        captions = table[_CAPTIONS]  # as many a row as it has, each of the tokenizer's length
        table[_CAPTIONS] = captions.to_tensor(shape=[None, None, self._tokenizer.length])
        count = table[_COUNT].shape[0]
        first_pass, _, first_row = (tf.constant(number, tf.int64) for number in start)

        def pass_rows(number: tf.Tensor) -> tf.data.Dataset:
            order = _permutation(count, [self._config.seed, number])
            rows = tf.data.Dataset.from_tensor_slices(order).enumerate(start=1)
            rows = rows.skip(tf.where(tf.equal(number, first_pass), first_row, 0))
            return rows.map(lambda i, row: (row, tf.stack([number, 0, i])))

        indices = tf.data.Dataset.counter(start=first_pass).flat_map(pass_rows)
        return indices.map(lambda row, position: ({n: tf.gather(v, row) for n, v in table.items()}, position))


def _permutation(count: int | tf.Tensor, seeds: Sequence[int | tf.Tensor]) -> tf.Tensor:
    """0 to count - 1 in an order that the seeds decide; int32."""
    seed = tf.zeros([2], tf.int64)
    for number in seeds:  # each number draws the seed of the next
        seed = tf.stack([seed[0], tf.cast(number, tf.int64)])
        seed = tf.random.stateless_uniform([2], seed, None, None, tf.int64, alg="philox")
    return tf.random.experimental.stateless_shuffle(tf.range(count), seed, alg="philox")


def _shuffled(held: tf.Tensor, seeds: Sequence[int | tf.Tensor]) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(tf.gather(held, _permutation(tf.size(held), seeds)))
