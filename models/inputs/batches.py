"""Training batches in an order that only the seed decides; reading can start at any position of it.

A pass permutes the shards, interleaves a few of them (a group), and shuffles the rows of a group buffer by buffer. The
seed and the numbers of pass, group and buffer decide every draw. So a position is three numbers, and each batch carries
its position. A checkpoint stores it, and a resumed run continues with the very next row; it reads at most one group
again.
"""

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from models import settings
from models.inputs import tfrecords
from models.inputs.row_views import CAPTIONS, RowViews, SeedOf
from models.inputs.tokenizer import Tokenizer
from models.objectives.objective import Views

POSITION = "position"
START = (0, 0, 0)


@dataclasses.dataclass(frozen=True)
class InputPipeline:
    """One of several readers that share all rows evenly.

    In each pass, every reader gets the same number of whole shards. Other shards may remain, different ones in each
    pass: every reader takes each `count`-th row of them. So no reader runs out of rows or repeats any, whatever the
    number of shards.

    Attributes:
      index: the number of this reader, from 0.
      count: how many readers there are.
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
        """Checks that the shards have enough rows; decodes nothing yet.

        Args:
          paths: TFRecord shards of serialized tf.Example; names that end in .gz are gzipped.
          tokenizer: turns captions into token ids.
          config: settings of training; the batch size is only used for the check.
          views: the views of each pair that the objective asks for. With Training.corruption, a batch also has SEEDS.

        Raises:
          NotEnoughRows: there are fewer rows than one batch needs.
        """
        tfrecords.require_rows(paths, config.batch_size)
        self._paths, self._tokenizer, self._config = sorted(paths), tokenizer, config
        views = dataclasses.replace(views, seeds=views.seeds or config.corruption is not None)
        self._rows, self._texts = RowViews(views, config), tuple(views.texts)

    @property
    def tokenizer(self) -> Tokenizer:
        """Makes the token ids."""
        return self._tokenizer

    def read(self, rows: int, reader: InputPipeline = InputPipeline(), start: Sequence[int] = START) -> tf.data.Dataset:
        """Returns the batches of one reader. Every batch is full, and may span two passes.

        Args:
          rows: rows of each batch, b.
          reader: the reader whose rows to return.
          start: pass, group and row to start after: the "position" of the last batch that was used.

        Returns:
          {"position": int64 [3]}; for each text view NAME, {NAME: int32 [b, L]}; for each image view NAME, {NAME: uint8
          [b, H, H, 3]}, {NAME_boxes: float32 [b, 4]} if it is cropped, and {NAME_colours: float32 [b, 8]} if its
          colours change. If the views ask for them, {"seeds": int32 [b, 2]}, {"picture_ids": int32 [b]} and
          {"image_embedding": float32 [b, D]}. With Logging.false_negatives, {"class_ids": int32 [b]}, equal for rows of
          one class_name, -1 for none. Each visit of a row makes new random draws, which do not depend on the batch that
          the row is in.
        """
        if self._config.cache:
            decoded = self._from_memory(reader, start)
        else:
            decoded = self._from_shards(reader, start).map(
                lambda example, position: (self._rows.decode(example), position),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
        augmented = decoded.map(
            lambda row, position: (self._rows.draw(row, self._seeds(reader, position)), position),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        batched = augmented.batch(rows, drop_remainder=True)
        return batched.map(self._tokenized, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(2)

    def _tokenized(self, batch: dict[str, tf.Tensor], positions: tf.Tensor) -> dict[str, tf.Tensor]:
        token_ids = {name: self._tokenizer(batch[name]) for name in self._texts}
        return {**batch, **token_ids, POSITION: positions[-1]}

    def _seeds(self, reader: InputPipeline, position: tf.Tensor) -> SeedOf:
        """Seeds that differ for each visit of each row, each purpose and each view."""
        number, group, row = tf.unstack(position)
        second = (number * 2**20 + group) * 2**24 + row  # unique for each visit, up to 2^24 rows in a group

        def seed_of(purpose: int, view: int) -> tf.Tensor:
            first = self._config.seed * 1_000_003 + reader.index + (2**8 * purpose + view) * 2**40
            return tf.stack([tf.constant(first, tf.int64), second])

        return seed_of

    def _from_shards(self, reader: InputPipeline, start: Sequence[int]) -> tf.data.Dataset:
        """Endless (serialized row, position after it)."""
        paths, shards = tf.constant(self._paths), len(self._paths)
        config, at_once = self._config, self._config.shards_at_once
        whole = shards // reader.count  # shards that only this reader reads in a pass
        mine = whole + shards % reader.count
        groups = -(-mine // at_once)
        first_pass, first_group, first_row = (tf.constant(number, tf.int64) for number in start)

        def shard_rows(path: tf.Tensor, shared: tf.Tensor, turn: tf.Tensor) -> tf.data.Dataset:
            readers = tf.where(shared, tf.constant(reader.count, tf.int64), 1)
            index = tf.where(shared, tf.constant(reader.index, tf.int64), 0)
            # `turn`, drawn for each shard and pass, decides who gets the first row. Without it, shards of fewer than
            # `count` rows would starve some readers.
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
        """Endless (decoded row, position after it); decodes every row of this reader once, at this call."""
        rows = tfrecords.read_shards(self._paths).enumerate().filter(lambda i, _: i % reader.count == reader.index)
        decoded = rows.map(
            lambda _, example: self._rows.decode(example), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
        parts: dict[str, list[tf.Tensor]] = {}
        for batch in decoded.ragged_batch(256):
            for name, value in batch.items():
                parts.setdefault(name, []).append(value)
        table = {name: tf.concat(values, axis=0) for name, values in parts.items()}
        captions = table[CAPTIONS]  # ragged: rows have different numbers of captions
        table[CAPTIONS] = captions.to_tensor()
        count = table[CAPTIONS].shape[0]
        first_pass, _, first_row = (tf.constant(number, tf.int64) for number in start)

        def pass_rows(number: tf.Tensor) -> tf.data.Dataset:
            order = _permutation(count, [self._config.seed, number])
            rows = tf.data.Dataset.from_tensor_slices(order).enumerate(start=1)
            rows = rows.skip(tf.where(tf.equal(number, first_pass), first_row, 0))
            return rows.map(lambda i, row: (row, tf.stack([number, 0, i])))

        indices = tf.data.Dataset.counter(start=first_pass).flat_map(pass_rows)
        return indices.map(lambda row, position: ({n: tf.gather(v, row) for n, v in table.items()}, position))


def _permutation(count: int | tf.Tensor, seeds: Sequence[int | tf.Tensor]) -> tf.Tensor:
    """The numbers 0 to count - 1, int32, in an order that the seeds decide."""
    seed = tf.zeros([2], tf.int64)
    for number in seeds:  # each number draws the seed of the next
        seed = tf.stack([seed[0], tf.cast(number, tf.int64)])
        seed = tf.random.stateless_uniform([2], seed, None, None, tf.int64, alg="philox")
    return tf.random.experimental.stateless_shuffle(tf.range(count), seed, alg="philox")


def _shuffled(held: tf.Tensor, seeds: Sequence[int | tf.Tensor]) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices(tf.gather(held, _permutation(tf.size(held), seeds)))
