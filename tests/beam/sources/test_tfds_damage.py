"""Damaged shards of a TensorFlow data set: the rows before the damage are read, and nothing crashes."""

import pathlib
import random

import pytest

from beam.records import Rejected
from beam.sources.tfds import TfdsSource
from tests.beam.sources.mutated_files import _mutated_record, framed, outcomes
from tests.beam.sources.test_tfds import Tiny


@pytest.fixture(scope="module")
def data_set(tmp_path_factory) -> pathlib.Path:
    builder = Tiny(data_dir=tmp_path_factory.mktemp("tfds"))
    builder.download_and_prepare()
    return pathlib.Path(builder.data_path)


def read(folder: pathlib.Path, split: str, **settings) -> list:
    source = TfdsSource(str(folder), split=split, **settings)
    return [one for part in source.inputs() for _, one, _ in outcomes(source, part)]


@pytest.mark.parametrize("length", [1 << 31, 1 << 40, (1 << 64) - 1])
def test_shard_that_announces_a_huge_length_gives_the_rows_before_it(data_set, length):
    (shard,) = data_set.glob("*.tfrecord*")
    whole = shard.read_bytes()
    first = 16 + int.from_bytes(whole[:8], "little")
    try:
        shard.write_bytes(whole[:first] + framed(b"x", length) + whole[first:])
        found = read(data_set, "train")
        assert [isinstance(one, Rejected) for one in found] == [False, True]
        assert found[1].reason == "damaged_file"
        assert "2" in found[1].detail
        (rejected,) = read(data_set, "train[2:5]")
        assert rejected.reason == "damaged_file"
    finally:
        shard.write_bytes(whole)


def test_mutated_shards_are_read_or_rejected(data_set):
    (shard,) = data_set.glob("*.tfrecord*")
    whole, rng, rejects = shard.read_bytes(), random.Random(3), 0
    try:
        for _ in range(8):
            shard.write_bytes(_mutated_record(whole, rng))
            found = read(data_set, "train")
            assert found
            rejects += sum(isinstance(one, Rejected) for one in found)
    finally:
        shard.write_bytes(whole)
    assert rejects >= 4


def test_label_that_is_no_class_is_rejected(data_set, monkeypatch):
    monkeypatch.setattr(TfdsSource, "_names", lambda *_: {5: "other"})
    found = read(data_set, "train", templates=("a {}",))
    assert {one.reason for one in found} == {"unknown_class"}
    assert "the classes are 5 to 5" in found[0].detail
