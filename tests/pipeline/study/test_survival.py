"""Slow proofs: a killed study ends as an unbroken one, jobs change nothing, and negative controls come out as such."""

import json
import random
import signal
import subprocess
import time

import numpy as np
import pytest

from models.training.log import LOG_FILE, TIMES
from pipeline.study import statistics
from tests.pipeline.study.shapes import LOSS, ShapesStudy

pytestmark = pytest.mark.slow
METRIC = "test/text_to_image_recall_at_5"
STEPS, SEEDS = 120, "Study.seeds = (0, 1)"
OFTEN = {"often": "Checkpoint.every = 10"}


def kill(study: ShapesStudy, sign: str, wait: float) -> bool:
    """Kills the study with all of its processes, `wait` seconds after it has printed `sign`; whether it still ran."""
    process = study.start()
    while process.poll() is None and sign not in process.stdout.readline():
        pass
    time.sleep(wait)
    if process.poll() is not None:
        return False
    subprocess.run(["pkill", "-KILL", "--session", str(process.pid)], check=True)
    process.communicate()
    return True


def logs(study: ShapesStudy) -> dict[str, list[dict]]:
    """{run: rows of its log, without what depends on the speed of the machine}."""
    found = {}
    for path in study.own.glob(f"*/seed-*/{LOG_FILE}"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        kept = [{name: value for name, value in row.items() if name not in TIMES} for row in rows]
        found[f"{path.parts[-3]}/{path.parts[-2]}"] = kept
    return found


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> ShapesStudy:
    made = ShapesStudy(tmp_path_factory.mktemp("unbroken"), {"loss": LOSS, "save": OFTEN}, SEEDS, steps=STEPS)
    assert made.run(jobs=1)
    return made


@pytest.mark.timeout(1800)
def test_a_study_killed_five_times_ends_as_an_unbroken_one(unbroken, tmp_path):
    study = ShapesStudy(tmp_path, {"loss": LOSS, "save": OFTEN}, SEEDS, steps=STEPS)
    moments = random.Random(5)
    for sign, latest in (("Data 1 of 1", 5), *[(", seed", 20)] * 4):
        assert kill(study, sign, moments.uniform(0, latest)), "the study ended before the last kill: raise STEPS"
    process = study.start()
    printed = process.communicate()[0]
    assert process.returncode == 0, printed
    assert any("going on from step" in log.read_text() for log in study.own.glob("*/seed-*/run.log"))
    assert study.table() == unbroken.table()
    assert logs(study) == logs(unbroken)


def test_two_jobs_give_what_one_gives(unbroken, tmp_path):
    study = ShapesStudy(tmp_path, {"loss": LOSS, "save": OFTEN}, SEEDS, steps=STEPS)
    assert study.run(jobs=2)
    assert study.table() == unbroken.table()
    assert logs(study) == logs(unbroken)


def test_a_changed_line_of_one_point_runs_its_cells_again_and_no_others(unbroken):
    before = unbroken.results()
    changed = {**LOSS, "softmax": "Training.objective = @Softmax()\nSoftmax.logit_scale = 5.0"}
    unbroken.write({"loss": changed, "save": OFTEN})
    assert unbroken.run()
    after = unbroken.results()
    assert {name for name in after if after[name] != before[name]} == {"softmax_often/seed-0", "softmax_often/seed-1"}


def test_sigterm_saves_the_run_in_progress_and_the_same_command_goes_on(tmp_path):
    study = ShapesStudy(tmp_path, {"save": {"never": "Checkpoint.every = 100000"}}, "Study.seeds = (0,)", steps=2000)
    process = study.start()
    log = study.own / "never" / "seed-0" / LOG_FILE
    while not log.exists() or len(log.read_text().splitlines()) < 3:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    printed = process.communicate()[0]
    assert process.returncode == 143, printed
    assert not study.results()
    assert "stopped by SIGTERM at step" in (log.parent / "run.log").read_text()
    assert study.start().communicate()[0]
    assert "going on from step" in (log.parent / "run.log").read_text()
    assert study.table()[0]["status"] == "finished"


def test_the_same_gin_under_two_labels_is_equal_for_equal_seeds_and_undecided_for_others(tmp_path):
    same = {"one": "AdamW.beta_2 = 0.95", "two": "AdamW.beta_2 = 0.95"}
    compare = "Study.compare = (('one', 'two'),)"
    study = ShapesStudy(tmp_path, {"label": same}, "Study.seeds = (0, 1, 2, 3)", compare, steps=60)
    assert study.run()
    rows = [{key: value for key, value in row.items() if key != "label"} for row in study.table()]
    assert rows[:4] == rows[4:]
    assert len({row["log/loss"] for row in rows}) == 4  # control: other seeds give other runs
    found = logs(study)
    assert all(found[f"one/seed-{seed}"] == found[f"two/seed-{seed}"] for seed in range(4))
    assert {one["verdict"] for one in study.facts()["comparisons"]} == {"not decided"}
    values = [float(row[METRIC]) for row in rows]
    (other,) = statistics.differences({"one": values[:2], "two": values[2:4]}, [("one", "two")], 0.9)
    assert other.value != 0
    assert other.verdict == statistics.NOT_DECIDED


def test_a_cell_with_noise_in_nine_of_ten_pairs_is_contrary_to_the_claim_that_it_is_better(tmp_path):
    noise = {"clean": (), "noise": "Training.corruption = @Corruption()\nCorruption.alignment = 0.9"}
    lines = ("Study.seeds = (0, 1, 2)", f"Study.metrics = ('{METRIC}',)", "Study.compare = (('noise', 'clean'),)")
    study = ShapesStudy(tmp_path, {"pairs": noise}, *lines, steps=200)
    assert study.run()
    (one,) = study.facts()["comparisons"]
    assert one["verdict"] == statistics.CONTRARY


def test_a_planted_worse_cell_is_contrary_to_the_claim_that_it_is_better(tmp_path):
    """Nine in ten captions of the worse cell belong to other pictures. Both cells are measured on the clean pairs."""
    study = ShapesStudy(
        tmp_path,
        {"data": {}},
        "Study.seeds = (0, 1, 2)",
        "Study.metrics = ('clean/text_to_image_recall_at_5',)",
        "Study.compare = (('noise', 'clean'),)",
        steps=200,
    )
    clean = tmp_path / "pairs.jsonl"
    rows = [json.loads(line) for line in clean.read_text().splitlines()]
    moved = np.random.default_rng(0).permutation(len(rows))[: round(0.9 * len(rows))]
    captions = [rows[row]["caption"] for row in moved]
    for row, caption in zip(moved, np.roll(captions, 1), strict=True):
        rows[row]["caption"] = str(caption)
    (tmp_path / "noise.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "clean.gin").write_text(
        "Pipeline.evaluation_sets = (@clean/EvaluationSet(),)\nclean/EvaluationSet.name = 'clean'\n"
        f"clean/EvaluationSet.source = @clean/JsonlSource()\nclean/JsonlSource.path = '{clean}'\n"
    )
    noise = f"JsonlSource.path = '{tmp_path / 'noise.jsonl'}'"
    study.write({"data": {"clean": ("clean.gin",), "noise": ("clean.gin", noise)}})
    assert study.run()
    (one,) = study.facts()["comparisons"]
    assert one["difference"] < -0.1
    assert one["verdict"] == statistics.CONTRARY
    assert len(list((study.artifacts / "ImageTextGen" / "examples").iterdir())) == 2
