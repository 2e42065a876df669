"""EmbedImages writes every row of every shard, in order, with the embedding of its own picture."""

import functools
import hashlib
import os
import pathlib

import apache_beam
import numpy as np
import pytest
import tensorflow as tf

from beam.embed import EmbedImages
from models import features
from tests.models.training.shapes import EXAMPLES, write_shards


def _by_hash(dim: int):
    """An embedder that gives each picture its own embedding: D numbers drawn from its bytes."""

    def embed(pictures):
        seeds = [int.from_bytes(hashlib.sha256(picture).digest()[:4], "big") for picture in pictures]
        return np.stack([np.random.default_rng(seed).normal(size=dim) for seed in seeds]).astype(np.float32)

    return embed


def _broken():
    raise OSError("the tower cannot be loaded")


def read(path: str) -> list[tf.train.Example]:
    rows = tf.data.TFRecordDataset(path, "GZIP" if path.endswith(".gz") else "")
    return [tf.train.Example.FromString(row) for row in rows.as_numpy_iterator()]


def run(paths, make_embedder, **options) -> None:
    with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
        pipeline | apache_beam.Create(paths) | EmbedImages(make_embedder, **options)


def test_every_row_gets_the_embedding_of_its_picture_and_keeps_all_else(tmp_path):
    sources = write_shards(tmp_path / "pictures", 3)
    paths = [(path, str(tmp_path / "embedded" / os.path.basename(path))) for path in sources]
    run(paths, functools.partial(_by_hash, 5), batch_size=7)
    for source, target in paths:
        before, after = read(source), read(target)
        assert len(before) == len(after) > 7
        expected = _by_hash(5)([row.features.feature[features.IMAGE].bytes_list.value[0] for row in before])
        found = [list(row.features.feature[features.IMAGE_EMBEDDING].float_list.value) for row in after]
        np.testing.assert_array_equal(np.float32(found), expected)
        for one, other in zip(before, after, strict=True):
            del one.features.feature[features.IMAGE]
            del other.features.feature[features.IMAGE_EMBEDDING]
            assert one == other
    first = {target: pathlib.Path(target).read_bytes() for _, target in paths}
    run(paths, functools.partial(_by_hash, 5), batch_size=100)
    assert {target: pathlib.Path(target).read_bytes() for _, target in paths} == first


def test_a_failure_leaves_no_half_written_shard(tmp_path):
    sources = write_shards(tmp_path / "pictures", 1, [*EXAMPLES[:30], b"no example"])
    target = tmp_path / "embedded" / "rows.gz"
    with pytest.raises(Exception, match=r"(?i)error parsing message|DecodeError"):
        run([(sources[0], str(target))], functools.partial(_by_hash, 5), batch_size=8)
    assert list(target.parent.iterdir()) == []
    with pytest.raises(Exception, match="the tower cannot be loaded"):
        run([(sources[0], str(target))], _broken)


def test_a_shard_is_compressed_as_its_name_says(tmp_path):
    (packed,) = write_shards(tmp_path / "pictures", 1, EXAMPLES[:5])
    plain = tmp_path / "pictures" / "rows"
    with tf.io.TFRecordWriter(str(plain)) as file:
        for example in EXAMPLES[:5]:
            file.write(example)
    targets = {name: str(tmp_path / "embedded" / name) for name in ("rows", "rows.gz")}
    run([(str(plain), targets["rows"]), (packed, targets["rows.gz"])], functools.partial(_by_hash, 5))
    assert read(targets["rows"]) == read(targets["rows.gz"])
    assert len(read(targets["rows"])) == 5
