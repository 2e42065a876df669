"""Training batches from TFRecord shards: pixels and token ids, in an order that only the seed decides."""

from collections.abc import Sequence

import tensorflow as tf

from models import features, images, settings
from models.tokenizer import Tokenizer


class NotEnoughRows(ValueError):
    """The shards hold fewer rows than one batch needs."""


def parse(examples: tf.Tensor, names: Sequence[str] = features.ALL) -> dict[str, tf.Tensor]:
    """Serialized tf.Example [N] -> {feature: string [N]}; a missing feature is the empty string."""
    spec = {name: tf.io.FixedLenFeature([], tf.string, default_value="") for name in names}
    return tf.io.parse_example(examples, spec)


def read_shards(patterns: Sequence[str]) -> tf.data.Dataset:
    """All serialized rows of the shards, in the order of the shards' sorted names.

    Raises:
      NotEnoughRows: no file matches.
    """
    paths = sorted(path for pattern in patterns for path in tf.io.gfile.glob(pattern))
    if not paths:
        raise NotEnoughRows(f"no shard matches {list(patterns)}; run ImageTextGen first")
    compression = "GZIP" if all(path.endswith(".gz") for path in paths) else ""
    return tf.data.TFRecordDataset(paths, compression_type=compression)


def training_batches(
    rows: tf.data.Dataset, tokenizer: Tokenizer, image_size: int, config: settings.TrainingSettings
) -> tf.data.Dataset:
    """Endless shuffled batches: pixels, uint8 [N, S, S, 3], and token_ids, int32 [N, L].

    Each pass has another order; every batch is full.

    Args:
      rows: serialized tf.Example, as `read_shards` gives them.
      tokenizer: makes the token ids.
      image_size: S.
      config: batch size N, shuffle buffer, cache, and the seed of the order.

    Raises:
      NotEnoughRows: there are fewer rows than one batch needs.
    """
    batch_size = config.batch_size
    available = int(rows.take(batch_size).reduce(tf.constant(0, tf.int64), lambda count, _: count + 1))
    if available < batch_size:
        raise NotEnoughRows(
            f"the train split has {available} rows, but Training.batch_size is {batch_size}; "
            f"lower Training.batch_size to {available} or less, or bring more rows"
        )

    def decode(example: tf.Tensor) -> dict[str, tf.Tensor]:
        row = parse([example], (features.IMAGE, features.CAPTION))
        return {
            "pixels": images.decode_and_resize(row[features.IMAGE][0], image_size),
            "token_ids": tokenizer(row[features.CAPTION])[0],
        }

    decoded = rows.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    if config.cache:
        decoded = decoded.cache()
    shuffled = decoded.shuffle(config.shuffle_buffer, seed=config.seed, reshuffle_each_iteration=True).repeat()
    return shuffled.batch(batch_size, drop_remainder=True).prefetch(2)
