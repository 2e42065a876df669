"""The loop of steps reads the next batches during a step, although training asks for deterministic ops."""

import contextlib
import time
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config

from models import settings
from models.distribution import strategies
from models.inputs.batches import POSITION
from models.training import device_loop
from models.training.step import BAD_PART, HEALTHY


class Rows:
    """Endless rows, counted when they are made, by an op with a state, as the tokenizer's op is."""

    def __init__(self) -> None:
        self.made = 0

    def read(self, rows: int, *_reader_and_start: object) -> tf.data.Dataset:
        def count(row: np.int64) -> np.int64:
            self.made += 1
            return row

        counted = tf.data.Dataset.counter().map(
            lambda row: tf.ensure_shape(tf.numpy_function(count, [row], tf.int64), [])
        )
        return counted.batch(rows).map(lambda of: {"rows": of, POSITION: tf.zeros([3], tf.int64)}).prefetch(2)


class Step:
    """Reads a batch."""

    rows, parts = 4, ["the loss"]

    def __call__(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"loss": tf.cast(tf.reduce_sum(batch["rows"]), tf.float32), BAD_PART: tf.constant(HEALTHY)}


class StepThatNotesItsBegin(Step):
    """Its first op needs no batch."""

    def __init__(self, events: list[str]) -> None:
        self._events = events
        self._weight = tf.Variable(1.0)

    def __call__(self, batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        def note(weight: np.float32) -> np.float32:
            self._events.append("step")
            return weight

        begun = tf.numpy_function(note, [self._weight], tf.float32, stateful=False)  # the graph may run it at any time
        return {**super().__call__(batch), "begun": tf.ensure_shape(begun, [])}


@pytest.fixture
def _deterministic() -> Iterator[None]:
    before = config.is_op_determinism_enabled()
    config.enable_op_determinism()
    yield
    if not before:
        config.disable_op_determinism()


def made_after_a_step(at_least: int, seconds: float) -> int:
    """How many rows are made once there are `at_least` of them, or after some seconds."""
    rows = Rows()
    loop = device_loop.DeviceLoop(Step(), rows, strategies.create(settings.RuntimeSettings()), [])
    assert config.is_op_determinism_enabled()
    assert float(loop.run(1).scalars["loss"]) == sum(range(Step.rows))
    end = time.monotonic() + seconds
    while rows.made < at_least and time.monotonic() < end:
        time.sleep(0.01)
    return rows.made


@pytest.mark.usefixtures("_deterministic")
def test_the_next_batches_are_read_during_a_step():
    assert made_after_a_step(3 * Step.rows, seconds=60) >= 3 * Step.rows


@pytest.mark.usefixtures("_deterministic")
def test_control_op_determinism_alone_reads_a_batch_when_a_step_asks_for_it(monkeypatch):
    monkeypatch.setattr(device_loop, "_reading_ahead", contextlib.nullcontext)
    assert made_after_a_step(3 * Step.rows, seconds=1) == Step.rows


def test_work_of_the_step_does_not_count_as_waiting_for_the_batch(monkeypatch):
    events: list[str] = []

    def now() -> tf.Tensor:
        def note() -> np.float64:
            events.append("clock")
            return np.float64(0)

        return tf.ensure_shape(tf.numpy_function(note, [], tf.float64), [])

    monkeypatch.setattr(device_loop, "_now", now)
    step = StepThatNotesItsBegin(events)
    device_loop.DeviceLoop(step, Rows(), strategies.create(settings.RuntimeSettings()), []).run(3)
    assert events == ["clock", "clock", "step"] * 3
