"""The command of a study, as a user runs it: its exit status, what it prints, and the models that it keeps."""

import json
import subprocess
import sys

import pytest

from beam.exported_model import ExportedModel
from components.metrics import saved_model_metrics
from tests.pipeline.conftest import ROOT
from tests.pipeline.study.shapes import ShapesStudy

pytestmark = pytest.mark.slow


def test_the_command_measures_what_a_kept_model_gives_and_fails_if_a_run_has_failed(tmp_path):
    points = {"usual": (), "absent": "Runtime.strategy = 'tpu'"}
    study = ShapesStudy(tmp_path, {"device": points}, "Study.seeds = (0,)", "Study.keep_models = True", steps=40)

    def command(*flags: str) -> subprocess.CompletedProcess:
        given = [f"--gin_file={study.path}", f"--output_dir={tmp_path / 'output'}", *flags]
        return subprocess.run(
            [sys.executable, "-m", "pipeline.study", *given], cwd=ROOT, capture_output=True, text=True, check=False
        )

    done = command("--only=usual")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[1/1] usual, seed 0: " in done.stdout
    page = (study.own / "report.md").read_text()
    assert "Each cell has one seed" in page
    assert f"python -m pipeline.study --gin_file={study.path}" in page
    assert "Seeds: 0." in page
    failed = command()
    assert failed.returncode == 1, failed.stdout
    assert "absent, seed 0: failed with exit code" in failed.stdout

    folder = study.own / "usual" / "seed-0"
    result = json.loads((folder / "result.json").read_text())["metrics"]["eval"]
    (split,) = study.artifacts.glob("EvaluationSuite/*/*/Split-eval")
    measured = saved_model_metrics.measure(ExportedModel(str(folder / "model")), str(split), -1)
    begins = ("image_to_text_recall", "text_to_image_recall", "zero_shot_accuracy")
    shares = [name for name in result if name.startswith(begins)]
    assert len(shares) > 6
    assert {name: measured[name] for name in shares} == {name: result[name] for name in shares}
