"""Rows of one class in a batch are marked and counted, on any number of replicas, and training does not change."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from beam.records import ImageText
from models.distribution.collectives import OneDevice
from models.inputs import images
from models.inputs.batches import Batches
from models.inputs.row_views import CLASS_IDS
from models.inputs.tokenizer import Tokenizer
from models.training import false_negatives
from models.training.log import LOG_FILE
from tests.models.objectives import test_objectives
from tests.models.training.shapes import CONFIG, EXAMPLES, OBJECTIVE, fit, write_shards
from tests.pipeline.conftest import ROOT

LOGGING = dataclasses.replace(CONFIG.logging, false_negatives=True)


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> list[str]:
    return write_shards(tmp_path_factory.mktemp("shards"), 3)


def by_hand(ids: list[int]) -> float:
    pairs = sum(one == other >= 0 for i, one in enumerate(ids) for j, other in enumerate(ids) if i != j)
    return pairs / len(ids)


@pytest.mark.parametrize("ids", [[1, 1, 2, 3], [5] * 6, [1, 2, 3, 4], [-1, -1, -1, 7], [-1] * 4, [7, -1, 7, -1, 8, 7]])
def test_the_count_is_that_of_all_pairs(ids):
    found = false_negatives.per_row(tf.constant(ids, tf.int32), OneDevice())
    assert float(found) == pytest.approx(by_hand(ids))


_REPLICAS = """
import sys
import tensorflow as tf
from tests.devices import make_devices
make_devices(4)
from tensorflow.python.distribute import values
from models import settings
from models.distribution import strategies
from models.training import false_negatives
found = strategies.create(settings.RuntimeSettings("mirrored", ("CPU:0", "CPU:1", "CPU:2", "CPU:3")))
parts = values.PerReplica([tf.constant(part, tf.int32) for part in ([1, 1, 2], [1, -1, 3], [2, 4, -1], [1, 3, 9])])
step = lambda ids: found.strategy.run(false_negatives.per_row, args=(ids, found.collectives))
counted = tf.function(step, autograph=False)(parts)
print(*(float(one) for one in found.strategy.experimental_local_results(counted)))
"""


def test_four_replicas_count_over_the_whole_batch():
    command = [sys.executable, "-c", _REPLICAS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "."})
    assert done.returncode == 0, done.stderr[-2000:]
    whole = [1, 1, 2, 1, -1, 3, 2, 4, -1, 1, 3, 9]
    assert [float(one) for one in done.stdout.split()] == pytest.approx([by_hand(whole)] * 4)
    alone = [by_hand(whole[start : start + 3]) for start in range(0, 12, 3)]
    assert by_hand(whole) != pytest.approx(np.mean(alone))  # control: counted by replica, it would be another number


@pytest.mark.parametrize("cache", [False, True])
def test_rows_of_one_class_have_one_id_and_the_other_tensors_stay(vocabulary, tmp_path, cache):
    names = ["cat", "dog", "cat", "", "bird", "", "dog", "cat"]
    rows = [
        dataclasses.replace(ImageText.from_example(example, "x"), class_name=name)
        for name, example in zip(names, EXAMPLES, strict=False)
    ]
    paths = write_shards(tmp_path, 1, [row.to_example() for row in rows])
    config, tokenizer = (
        dataclasses.replace(CONFIG, batch_size=8, cache=cache),
        Tokenizer(vocabulary, OBJECTIVE.text_tower),
    )
    marked = next(iter(Batches(paths, tokenizer, dataclasses.replace(config, logging=LOGGING)).read(8)))
    plain = next(iter(Batches(paths, tokenizer, config).read(8)))
    assert set(marked) - set(plain) == {CLASS_IDS}
    for name, value in plain.items():
        np.testing.assert_array_equal(value, marked[name])
    pixels = {images.decode_and_resize(row.image, OBJECTIVE.image_input).numpy().tobytes(): row for row in rows}
    id_of: dict[str, set[int]] = {}
    for picture, number in zip(marked["images"].numpy(), marked[CLASS_IDS].numpy(), strict=True):
        id_of.setdefault(pixels[picture.tobytes()].class_name, set()).add(int(number))
    assert id_of.pop("") == {-1}
    assert {name: len(ids) for name, ids in id_of.items()} == {"cat": 1, "dog": 1, "bird": 1}
    assert len(set.union(*id_of.values())) == 3
    assert min(set.union(*id_of.values())) >= 0


def test_a_step_counts_and_moves_the_weights_as_one_without_marks():
    ids = tf.constant([3, 3, 3, -1, -1, 4, 5, 4], tf.int32)
    moved, (plain, counted) = [], ({}, {CLASS_IDS: ids})
    for marks in (plain, counted):
        objective, step = test_objectives.untraced_step_of(OBJECTIVE)
        scalars = step({**test_objectives.batch(), **marks})
        moved.append([variable.numpy() for variable in objective.trainable_variables])
        assert ("false_negatives" in scalars) == bool(marks)
    assert float(scalars["false_negatives"]) == by_hand(ids.numpy().tolist()) == 1.0
    for one, other in zip(*moved, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow  # a whole run; the tests above count in a step and mark batches
def test_training_logs_the_count_of_its_batches(vocabulary, shards, tmp_path):
    """The classes of the rows are the colours of their shapes."""
    config = dataclasses.replace(CONFIG, steps=5, logging=LOGGING)
    fit(vocabulary, shards, tmp_path, config)
    first = json.loads((tmp_path / "log" / LOG_FILE).read_text().splitlines()[0])
    batches = Batches(shards, Tokenizer(vocabulary, OBJECTIVE.text_tower), config)
    ids = [batch[CLASS_IDS].numpy().tolist() for batch in batches.read(config.batch_size).take(first["step"] + 1)]
    assert first["false_negatives"] == pytest.approx(by_hand(ids[-1]), rel=1e-6)
    assert first["false_negatives"] > 5
