"""The profiler starts before the first of its steps and stops after the last, also when a run ends in between."""

import pytest
import tensorflow as tf

from models.training.profiler import Profiler


@pytest.fixture
def calls(monkeypatch) -> list[str]:
    made = []
    monkeypatch.setattr(tf.profiler.experimental, "start", lambda folder: made.append(f"start {folder}"))
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: made.append("stop"))
    return made


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (range(10), {3: "start log", 6: "stop"}),
        (range(4, 10), {4: "start log", 6: "stop"}),  # a run that was resumed inside its profile
        (range(6, 10), {}),
    ],
)
def test_profile_covers_exactly_its_steps(calls, steps, expected):
    changes = {}
    with Profiler((3, 5), "log") as profiler:
        for step in steps:
            before = len(calls)
            profiler.before_step(step)
            if calls[before:]:
                (changes[step],) = calls[before:]
    assert changes == expected


def test_profile_is_closed_when_the_run_fails(calls):
    with pytest.raises(FloatingPointError), Profiler((3, 5), "log") as profiler:  # noqa: PT012
        profiler.before_step(3)
        raise FloatingPointError
    assert calls == ["start log", "stop"]


def test_without_steps_there_is_no_profile(calls):
    with Profiler((), "log") as profiler:
        profiler.before_step(0)
    assert not calls
