"""--help lists every flag that a command takes, also those that several commands share."""

import subprocess
import sys

import pytest

from tests.pipeline.conftest import ROOT


def slow(*values: object) -> object:
    """A case that starts one more process."""
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("local_runner", ["--gin_file", "--gin_bindings", "--[no]dry_run", "--profile_steps", "--output_dir"]),
        slow("study", ["--gin_file", "--gin_bindings", "--output_dir", "--jobs", "--only", "--[no]dry_run"]),
        ("build", ["--gin_file", "--gin_bindings", "--output_dir"]),
        slow("vertex_runner", ["--gin_file", "--output", "--steps", "--data", "--cron"]),
        slow("inspect", ["--pictures", "--[no]verify"]),
        slow("composed", ["--model_dir", "--examples"]),
        ("zero_shot", ["--model_dir", "--image", "--labels", "--output"]),
    ],
)
def test_help_lists_the_flags_of_a_command(module, expected):
    shown = subprocess.run(
        [sys.executable, "-m", f"pipeline.{module}", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert not [flag for flag in expected if flag not in shown.stdout]
    assert "Functions import" not in shown.stdout
