"""The devices stop exactly when something is due, and at least every Runtime.steps_per_loop steps."""

import dataclasses

import pytest

from models import settings
from models.training.stops import Stops

CONFIG = settings.TrainingSettings(
    schedule=settings.ScheduleSettings(warmup_steps=0),
    runtime=settings.RuntimeSettings(steps_per_loop=1000),
    checkpoint=settings.CheckpointSettings(every=40),
    logging=settings.LoggingSettings(every=25, held_out_every=30),
    steps=100,
)


def all_stops(config: settings.TrainingSettings, start: int = 0) -> list[int]:
    stops, done = [], start
    while done < config.steps:
        done = Stops(config).after(done)
        stops.append(done)
    return stops


def test_devices_stop_exactly_when_something_is_due():
    assert all_stops(CONFIG) == [1, 26, 30, 40, 51, 60, 76, 80, 90, 100]
    stops = Stops(CONFIG)
    counts = range(1, 101)
    assert [done for done in counts if stops.logs(done)] == [1, 26, 51, 76, 100]
    assert [done for done in counts if stops.saves(done)] == [40, 80, 100]
    assert [done for done in counts if stops.looks_at_held_out(done)] == [30, 40, 60, 80, 90, 100]
    assert [done for done in counts if stops.is_last(done)] == [100]


@pytest.mark.parametrize("start", [1, 7, 26, 40, 99])
def test_a_resumed_run_has_the_stops_of_the_whole_run(start):
    assert all_stops(CONFIG, start) == [stop for stop in all_stops(CONFIG) if stop > start]


def test_stops_are_at_most_steps_per_loop_apart():
    config = dataclasses.replace(CONFIG, runtime=settings.RuntimeSettings(steps_per_loop=7))
    stops = all_stops(config)
    assert max(after - before for before, after in zip([0, *stops], stops, strict=False)) == 7
    assert set(all_stops(CONFIG)) <= set(stops)


def test_profiled_steps_add_a_stop_before_the_first_and_after_the_last():
    config = dataclasses.replace(CONFIG, profile_steps=(10, 12))
    assert set(all_stops(config)) - set(all_stops(CONFIG)) == {10, 13}


def test_held_out_rows_can_be_switched_off():
    config = dataclasses.replace(CONFIG, logging=settings.LoggingSettings(every=25, held_out_every=0))
    assert all_stops(config) == [1, 26, 40, 51, 76, 80, 100]
