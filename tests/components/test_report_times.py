"""Where the report says that the time of a run went."""

import time
import types

import pytest

from components.run_report import figures, times


def artifact(second: float) -> list[types.SimpleNamespace]:
    milliseconds = int(1000 * second)
    return [types.SimpleNamespace(mlmd_artifact=types.SimpleNamespace(last_update_time_since_epoch=milliseconds))]


def test_artifacts_come_in_the_order_of_time_and_a_cached_one_has_no_seconds():
    now = time.time()
    made = times.made_at({"model": artifact(now + 30), "examples": artifact(now + 10), "cached": artifact(1.0)})
    assert [one.name for one in made] == ["cached", "examples", "model"]
    assert made[0].seconds is None
    assert made[1].seconds > 10  # since this process started
    assert made[2].seconds == pytest.approx(20, abs=0.01)
    assert set(times.of_components(made)) == {"examples", "model"}


def test_without_times_there_is_nothing_to_show():
    assert times.made_at({"examples": artifact(0)}) == []
    assert figures.time_bars({}, {}) == ""


def test_the_parts_of_training_add_up_to_its_seconds():
    row = {"seconds": 100.0, "starting_seconds": 30.0, "waiting_seconds": 5.0, "scoring_seconds": 3.0}
    parts = times.of_training([{}, {**row, "saving_seconds": 2.0}])
    assert parts["steps"] == 60.0
    assert sum(parts.values()) == 100.0
    assert times.of_training([row]) == {}  # a log of an older release
    assert times.of_training([]) == {}


def test_the_figure_is_a_picture():
    assert figures.time_bars({"examples": 3.0}, {"steps": 2.0, "starting": 1.0}).startswith("data:image/png;base64,")
