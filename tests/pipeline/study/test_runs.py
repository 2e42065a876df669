"""A study of drawn shapes from its gin to its report: three of two by two cells, two seeds, five steps.

The tests of this module depend on each other, in this order.
"""

import json
import re
import subprocess
import sys

import pytest

from models.training.log import LOG_FILE
from tests.pipeline.conftest import ROOT
from tests.pipeline.study.shapes import LOSS, ShapesStudy

CELLS = (("sigmoid", "fast"), ("sigmoid", "slow"), ("softmax", "fast"))
WILD = "Training.max_loss = 0.001"
RATE = {"fast": "AdamW.learning_rate = 3e-3", "slow": "AdamW.learning_rate = 1e-4"}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> ShapesStudy:
    made = ShapesStudy(
        tmp_path_factory.mktemp("study"),
        {"loss": LOSS, "rate": RATE},
        "Study.seeds = (0, 1)",
        "Study.metrics = ('test/image_to_text_recall_at_5', 'eval/zero_shot_accuracy', 'log/logit_bias',"
        " 'log/step_seconds')",
        "Study.compare = (('sigmoid, fast', 'softmax, fast'), ('sigmoid, fast', 'sigmoid, slow'))",
        "Study.claim = 'The first is better.'",
        "Study.without = ('softmax, slow',)",
    )
    assert made.run()
    return made


def test_each_run_has_a_result_and_leaves_no_checkpoint_and_no_model(study):
    table = study.table()
    assert [(row["loss"], row["rate"], row["seed"]) for row in table] == [
        (*cell, seed) for cell in CELLS for seed in "01"
    ]
    assert {(row["status"], row["step"]) for row in table} == {("finished", "5")}
    assert all(0 <= float(row["test/image_to_text_recall_at_5"]) <= 1 for row in table)
    assert {row["eval/zero_shot_classes"] for row in table} == {"6.0"}
    assert all(bool(row["log/logit_bias"]) == (row["loss"] == "sigmoid") for row in table)
    losses = [row["log/loss"] for row in table]
    assert len(set(losses)) == 6  # each loss, rate and seed trains another model
    for folder in study.own.glob("*/seed-*"):
        kept = {path.name for path in folder.iterdir() if not path.name.startswith("events.")}
        assert kept == {"config.gin", "result.json", "run.log", LOG_FILE}


def test_all_cells_share_the_data(study):
    made = {path.name for path in study.artifacts.iterdir()}
    assert {"ImageTextGen", "VocabularyTrainer", "EvaluationSuite"} <= made
    assert not made & {"Trainer", "ModelPackager", "Pusher"}
    assert len(list((study.artifacts / "ImageTextGen" / "examples").iterdir())) == 1


def test_the_report_has_means_comparisons_and_plots(study):
    facts = study.facts()
    (cell,) = (one for one in facts["cells"] if one["name"] == "softmax, fast")
    assert "+ Training.objective = @Softmax()" in cell["gin"]
    assert "- Training.objective = @Siglip()" in cell["gin"]
    assert not [line for line in cell["gin"] if "seed" in line]
    mean = cell["means"]["eval/zero_shot_accuracy"]
    assert mean["low"] <= mean["value"] <= mean["high"]
    assert "log/logit_bias" not in cell["means"]
    assert cell["means"]["log/step_seconds"]["value"] > 0
    verdicts = {(one["metric"], one["second"]): one["verdict"] for one in facts["comparisons"]}
    assert set(verdicts.values()) <= {"shown", "contrary", "not decided", ""}
    assert verdicts["log/logit_bias", "sigmoid, slow"] == ""  # no share of right answers
    page = (study.own / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    markdown = (study.own / "report.md").read_text()
    for name in re.findall(r"!\[.*?\]\((.*?)\)", markdown):
        assert (study.own / name).is_file()
    assert "Claim: The first is better." in markdown


def test_the_same_command_keeps_all_results_and_new_points_run_alone(study, capsys):
    before = study.results()
    study.write(
        {"loss": LOSS, "rate": {**RATE, "wild": WILD, "absent": "Runtime.strategy = 'tpu'"}},
        "Study.without = ('softmax, slow', 'softmax, wild', 'softmax, absent')",
    )
    assert not study.run()  # a run has failed
    assert {name: study.results()[name] for name in before} == before
    printed = capsys.readouterr().out
    assert "10 runs: 6 have a result, 4 to do, 2 at once" in printed
    assert "sigmoid, wild, seed 0: diverged at step 0" in printed
    rows = {(row["rate"], row["seed"]): row for row in study.table() if row["loss"] == "sigmoid"}
    assert (rows["wild", "1"]["status"], rows["wild", "1"]["step"]) == ("diverged", "0")
    assert rows["absent", "0"]["status"] == "failed"
    markdown = (study.own / "report.md").read_text()
    assert "- sigmoid, wild, seed 0: diverged at step 0" in markdown
    (log,) = re.findall(r"- sigmoid, absent, seed 0: failed \(log: `(.*?)`\)", markdown)
    assert "Error" in (study.own / log).read_text()
    (cell,) = (one for one in study.facts()["cells"] if one["name"] == "sigmoid, wild")
    assert cell["means"] == {}


@pytest.mark.slow
def test_a_run_that_has_diverged_runs_again_once_its_largest_loss_is_raised(study, capsys):
    before = study.results()
    study.write(
        {"loss": LOSS, "rate": {**RATE, "wild": WILD.replace("0.001", "1000.0")}},
        "Study.without = ('softmax, slow', 'softmax, wild')",
    )
    assert study.run(only="wild")
    after = study.results()
    assert {name for name in after if after[name] != before[name]} == {"sigmoid_wild/seed-0", "sigmoid_wild/seed-1"}
    assert "diverged" not in capsys.readouterr().out


def test_the_folder_of_another_study_is_refused(study):
    study.write({"loss": LOSS, "pace": RATE}, "Study.compare = ()")
    with pytest.raises(
        ValueError, match=r"holds the study of shapes.gin with the axes \['loss', 'rate'\], but this is"
    ):
        study.run()


def test_a_batch_that_is_larger_than_the_split_names_the_cell_and_no_run_begins(study):
    before, folders = study.results(), set(study.own.glob("*/seed-*"))
    rates = {**RATE, "other": "AdamW.learning_rate = 1e-3", "large": "Training.batch_size = 1000"}
    study.write({"loss": LOSS, "rate": rates}, "Study.without = ('softmax, slow', 'softmax, other', 'softmax, large')")
    named = r"cell 'sigmoid, large': split train has \d+ rows, but Training.batch_size is 1000"
    with pytest.raises(ValueError, match=named):
        study.run()
    assert study.results() == before
    assert set(study.own.glob("*/seed-*")) == folders


def test_the_folder_of_a_pipeline_is_refused(tmp_path):
    made = ShapesStudy(tmp_path, {"loss": LOSS})
    (made.own.parent / "artifacts").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"holds the outputs of a pipeline named 'shapes'; set another Study.name"):
        made.run()


def test_a_result_holds_what_the_log_says(study):
    for path in study.own.glob("sigmoid_fast/seed-*/result.json"):
        result = json.loads(path.read_text())
        rows = [json.loads(line) for line in (path.parent / LOG_FILE).read_text().splitlines()]
        assert result["log"]["loss"] == rows[-1]["loss"]
        assert result["peak_memory_bytes"] > 1e8
        assert result["versions"]["tensorflow"]


_IMPORTED = """
import sys
import pipeline.study.training_run
from tensorflow.python.eager import context
assert context._context is None or context._context._context_handle is None, "TensorFlow has begun to work"
assert not {"tfx", "apache_beam"} & set(sys.modules)
"""


def test_what_runs_are_forked_from_has_not_used_tensorflow():
    subprocess.run([sys.executable, "-c", _IMPORTED], cwd=ROOT, check=True)
