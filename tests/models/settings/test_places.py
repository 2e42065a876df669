"""Errors about a value name the gin file and the line that bound it."""

import pytest

from models.settings import TrainingSettings
from models.settings.configuration import ConfigurationError, load


def message(tmp_path, text: str, bindings: list[str] = []) -> str:  # noqa: B006
    (tmp_path / "inner.gin").write_text("# a comment\n\nTraining.batch_size = 1\n")
    (tmp_path / "outer.gin").write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        load([str(tmp_path / "outer.gin")], bindings, [TrainingSettings])
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Training.seed = 1\nTraining.steps = 'x'\n", "outer.gin, line 2"),
        ("Training.steps = 5\n# Training.steps = 7\n  Training.steps = -1\n", "outer.gin, line 3"),
        ("include 'inner.gin'\n", "inner.gin, line 3"),
        ("include 'inner.gin'\nTraining.seed = 4\nTraining.batch_size = 0\n", "outer.gin, line 3"),
        ("Training.seed = 4\nCheckpoint.every = 0\n", "outer.gin, line 2"),
        ("Training.seed = 4\n\nLion.beta_1 = 0.5\n", "outer.gin, line 3"),
        ("Training.micro_batches = 3\n", "outer.gin, line 1"),
    ],
)
def test_file_and_line_of_a_bad_value_are_named(tmp_path, text, place):
    assert message(tmp_path, text).endswith(f"({tmp_path}/{place})")


def test_value_of_the_command_line_names_no_file(tmp_path):
    found = message(tmp_path, "Training.steps = 5\n", ["Training.steps = 'x'"])
    assert found.startswith("gin: Training.steps is 'x', but must be of type int")
    assert ".gin" not in found
