"""Pusher publishes under the highest number, and records what servers load."""

import os
import pathlib

import pytest
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.utils import proto_utils

from components.pusher import executor
from models import files


@pytest.fixture
def model(tmp_path) -> standard_artifacts.Model:
    saved = tmp_path / "model" / "Format-Serving"
    (saved / "variables").mkdir(parents=True)
    (saved / "saved_model.pb").write_text("graph")
    (saved / "variables" / "data").write_text("weights")
    artifact = standard_artifacts.Model()
    artifact.uri = str(tmp_path / "model")
    return artifact


def push(model, folder, blessed: bool = True) -> standard_artifacts.PushedModel:
    pushed, blessing = standard_artifacts.PushedModel(), standard_artifacts.ModelBlessing()
    pushed.uri = f"{model.uri}-pushed"
    blessing.set_int_custom_property("blessed", int(blessed))
    destination = pusher_pb2.PushDestination(
        filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(folder))
    )
    executor.Executor().Do(
        {"model": [model], "model_blessing": [blessing]},
        {"pushed_model": [pushed]},
        {"push_destination": proto_utils.proto_to_json(destination)},
    )
    return pushed


@pytest.mark.parametrize("name", ["9999999999", "9999999998", "0009999999999"])
def test_number_is_above_all_that_are_there_and_is_what_servers_load(model, tmp_path, name):
    serving = tmp_path / "serving"
    (serving / name).mkdir(parents=True)
    (serving / name / "saved_model.pb").touch()
    for turn in range(1, 3):  # within a second
        pushed = push(model, serving)
        path = pushed.get_string_custom_property("pushed_destination")
        assert path == files.newest_version(str(serving)) == str(serving / str(int(name) + turn))
        assert pushed.get_string_custom_property("pushed_version") == os.path.basename(path)
        assert pushed.get_int_custom_property("pushed") == 1
        assert pathlib.Path(path, "variables", "data").read_text() == "weights"
        assert pathlib.Path(pushed.uri, "saved_model.pb").read_text() == "graph"


def test_model_that_is_not_blessed_is_not_pushed(model, tmp_path):
    assert push(model, tmp_path / "serving", blessed=False).get_int_custom_property("pushed") == 0
    assert not (tmp_path / "serving").exists()
