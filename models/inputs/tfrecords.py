"""Reads rows from TFRecord shards, for training, evaluation and reports."""

from collections.abc import Sequence

import tensorflow as tf

from models import features


class NotEnoughRows(ValueError):
    """The shards hold fewer rows than one batch needs."""


def parse(examples: tf.Tensor, names: Sequence[str] = features.ALL) -> dict[str, tf.Tensor]:
    """Serialized tf.Example [N] -> {stored feature: string [N]}; a missing feature is the empty string."""
    spec = {name: tf.io.FixedLenFeature([], tf.string, default_value="") for name in names}
    return tf.io.parse_example(examples, spec)


def parse_captions(examples: tf.Tensor) -> tf.RaggedTensor:
    """Serialized tf.Example [N] -> all captions of each row, in their order: string [N, (captions)]."""
    first = parse(examples, (features.CAPTION,))[features.CAPTION]
    spec = {features.MORE_CAPTIONS: tf.io.RaggedFeature(tf.string, row_splits_dtype=tf.int64)}
    more = tf.io.parse_example(examples, spec)[features.MORE_CAPTIONS]
    return tf.concat([tf.RaggedTensor.from_tensor(first[:, None]), more], axis=1)


def parse_picture_ids(examples: tf.Tensor) -> tf.Tensor:
    """Serialized tf.Example [N] -> picture id of each row, string [N]: its group, or its key if it has no group."""
    row = parse(examples, (features.KEY, features.GROUP))
    return tf.where(row[features.GROUP] == "", row[features.KEY], row[features.GROUP])


def parse_picture_numbers(examples: tf.Tensor) -> tf.Tensor:
    """Serialized tf.Example [N] -> int32 [N], a hash of the picture id, so equal for rows of one picture."""
    return tf.cast(tf.strings.to_hash_bucket_fast(parse_picture_ids(examples), 2**31 - 1), tf.int32)


def parse_class_ids(examples: tf.Tensor) -> tf.Tensor:
    """Serialized tf.Example [N] -> int32 [N], equal for rows with the same class_name; -1 for rows without one.

    The numbers are hashes: two of 5,000 names share one with a probability of .006.
    """
    names = parse(examples, (features.CLASS_NAME,))[features.CLASS_NAME]
    return tf.where(names == "", -1, tf.cast(tf.strings.to_hash_bucket_fast(names, 2**31 - 1), tf.int32))


def parse_class_names(examples: tf.Tensor) -> tf.RaggedTensor:
    """Serialized tf.Example [N] -> all right classes of each row, string [N, (classes)]; [""] for a row without one."""
    several = parse_several_class_names(examples)
    one = tf.RaggedTensor.from_tensor(parse(examples, (features.CLASS_NAME,))[features.CLASS_NAME][:, None])
    alone = tf.ragged.boolean_mask(one, tf.equal(several.row_lengths(), 0)[:, None])
    return tf.concat([alone, several], axis=1)


def parse_several_class_names(examples: tf.Tensor) -> tf.RaggedTensor:
    """Serialized tf.Example [N] -> `class_names` as stored, string [N, (classes)]; none for a row with `class_name`."""
    spec = {features.CLASS_NAMES: tf.io.RaggedFeature(tf.string, row_splits_dtype=tf.int64)}
    return tf.io.parse_example(examples, spec)[features.CLASS_NAMES]


def parse_embeddings(examples: tf.Tensor, dim: int) -> tf.Tensor:
    """Serialized tf.Example [N] -> the embeddings that ImageEmbedder stored, float32 [N, dim].

    Raises:
      InvalidArgumentError: a row has no embedding, or one of another dimension.
    """
    spec = {features.IMAGE_EMBEDDING: tf.io.FixedLenFeature([dim], tf.float32)}
    return tf.io.parse_example(examples, spec)[features.IMAGE_EMBEDDING]


def parse_boxes(examples: tf.Tensor) -> tf.Tensor:
    """Serialized tf.Example [N] -> top, left, bottom and right, float32 [N, 4]; NaN for rows without a box."""
    spec = {features.BOXES: tf.io.FixedLenFeature([4], tf.float32, default_value=4 * [float("nan")])}
    return tf.io.parse_example(examples, spec)[features.BOXES]


def find_shards(patterns: Sequence[str]) -> list[str]:
    """The sorted paths of all shards that match.

    Raises:
      NotEnoughRows: no file matches.
    """
    paths = sorted(path for pattern in patterns for path in tf.io.gfile.glob(pattern))
    if not paths:
        raise NotEnoughRows(f"no shard matches {list(patterns)}; run ImageTextGen first")
    return paths


def read_shard(path: tf.Tensor) -> tf.data.Dataset:
    """The serialized rows of one shard; a name that ends in .gz is gzipped."""
    compression = tf.where(tf.strings.regex_full_match(path, r".*\.gz"), "GZIP", "")
    return tf.data.TFRecordDataset(path, compression_type=compression)


def read_shards(patterns: Sequence[str]) -> tf.data.Dataset:
    """All serialized rows of the shards, in the order of the shards' sorted names.

    Raises:
      NotEnoughRows: no file matches.
    """
    return tf.data.Dataset.from_tensor_slices(find_shards(patterns)).flat_map(read_shard)


def require_rows(paths: Sequence[str], batch_size: int) -> None:
    """Raises NotEnoughRows unless the shards fill one batch."""
    rows = read_shards(paths).take(batch_size)
    available = int(rows.reduce(tf.constant(0, tf.int64), lambda count, _: count + 1))
    if available < batch_size:
        raise NotEnoughRows(
            f"the train split has {available} rows, but Training.batch_size is {batch_size}; "
            f"lower Training.batch_size to {available} or less, or add rows"
        )
