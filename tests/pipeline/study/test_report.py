"""The report of made-up results: numbers of tables, hostile labels, missing values, and plots of every shape."""

import csv
import io
import itertools
import json
import math
import pathlib
import re

import pytest

from models.evaluation import reranking
from pipeline.study import figures, report, results, training_run
from pipeline.study.settings import AxisSettings, StudySettings
from pipeline.study.study import outcome as terminal_outcome

METRICS = ("test/image_to_text_recall_at_5", "log/logit_bias")
HOSTILE = "</td><script>window.hacked = 1</script>"


def run(cell: str, seed: int, value: float | None, folder: str, status: str = "finished") -> dict:
    """A run as `results.collect` describes it; a run without a value has not finished."""
    shares = {"image_to_text_recall_at_5": value, "image_to_text_recall_at_5_low": 0.1}
    times = {"seconds": 3.0, "examples_per_second": 100.0 + seed, "peak_memory_bytes": 5e8}
    empty = dict.fromkeys(results.TIMES)
    done = value is not None
    return {
        "cell": cell, "seed": seed, "folder": folder, "failed_log": "" if done else f"{folder}/run.log",
        "status": status if done or status != "finished" else "not run", "step": 5 if done else None,
        "metrics": {"test": {**shares, "image_to_text_recall_at_5_high": 0.9}} if done else {},
        "log": {"loss": 1.0} if done else {}, "times": {"step_seconds": 0.5} if done else {},
        **(times if done else empty),
    }  # fmt: skip


def facts(tmp_path, values: dict[tuple[str, ...], list[float | None]], axes: dict[str, list[str]], **more) -> dict:
    """Facts of a study with these values of the runs of its cells; each run has a log of three rows."""
    cells = []
    for number, (labels, of_cell) in enumerate(values.items()):
        name = ", ".join(labels)
        runs = []
        for seed, value in enumerate(of_cell):
            folder = tmp_path / f"{number}" / f"seed-{seed}"
            folder.mkdir(parents=True)
            rows = [{"step": step, "loss": 2.0 - step, "gradient_norm": 1.0 + step} for step in range(3)]
            (folder / "training_log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            runs.append(run(name, seed, value, str(folder)))
        known = [value for value in of_cell if value is not None]
        mean = {METRICS[0]: {"value": known[0], "low": known[0] - 0.01, "high": known[0] + 0.01}} if known else {}
        cost = {name: runs[0][name] for name in results.TIMES}
        cells.append(
            {
                "name": name,
                "labels": dict(zip(axes, labels, strict=True)),
                "gin": ["+ a = 1"],
                "runs": runs,
                "means": mean,
                "cost": cost,
                "reranked": [],
            }
        )
    *others, x = axes
    return {
        "name": "made_up", "claim": "", "command": "python -m pipeline.study", "base": ["x.gin"], "seeds": [0, 1],
        "confidence": 0.9, "metrics": list(METRICS), "axes": axes, "x": x, "lines": others[0] if others else "",
        "cells": cells, "comparisons": [], "versions": {"python": "3"}, **more,
    }  # fmt: skip


def png_size(picture: bytes) -> tuple[int, int]:
    assert picture.startswith(b"\x89PNG")
    return int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")


@pytest.mark.parametrize(
    "axes",
    [
        {"loss": ["a", "b"]},
        {"loss": ["a", "b"], "batch": ["16", "64", "1024"]},
        {"loss": ["a", "b"], "noise": ["0", "0.3"], "kind": ["x", "y", "z"]},
    ],
)
def test_plots_of_one_two_and_three_axes(tmp_path, axes):
    values = {labels: [0.4, 0.5] for labels in itertools.product(*axes.values())}
    drawn = figures.draw(facts(tmp_path, values, axes))
    assert set(drawn) == {"made_up_metrics.png", "made_up_curves.png", "made_up_cost.png"}
    assert all(min(png_size(picture)) > 100 for picture in drawn.values())


def test_a_study_without_any_result_has_a_report(tmp_path):
    made = facts(tmp_path, {("a",): [None, None], ("b",): [None, None]}, {"loss": ["a", "b"]})
    page = pathlib.Path(report.write(made, str(tmp_path)))
    assert "a, seed 1: not run" in page.read_text()
    assert (tmp_path / "results.csv").read_text().count("not run") == 4


def two_stages(recall: float, seconds: float) -> list[dict]:
    return [
        {"depth": depth, "recalls": dict.fromkeys(reranking.RECALLS, recall + depth / 100), "seconds": seconds}
        for depth in (0, 8)
    ]


def test_retrieval_in_two_stages_is_the_mean_over_seeds_and_only_where_each_run_has_it(tmp_path):
    runs = [{"reranking": two_stages(recall, seconds)} for recall, seconds in ((0.2, 0.1), (0.4, 0.2), (0.6, 0.9))]
    found = results._reranked(runs)
    assert [(row["depth"], row["seconds"]) for row in found] == [(0, 0.2), (8, 0.2)]
    assert found[1]["text_to_image_recall_at_5"] == pytest.approx(0.48)
    assert results._reranked([*runs, {"reranking": []}]) == []
    made = facts(tmp_path, {("a",): [0.4, 0.5], ("b",): [0.4, 0.5]}, {"loss": ["a", "b"]})
    report.write(made, str(tmp_path))
    assert "two stages" not in (tmp_path / "report.md").read_text()
    made["cells"][0]["reranked"] = found
    page = pathlib.Path(report.write(made, str(tmp_path))).read_text()
    assert "| a | 8 | 0.480 | 0.480 | 0.480 | 0.480 | 200.0 |" in (tmp_path / "report.md").read_text()
    assert "<td>a</td><td>8</td><td>0.480</td>" in page
    assert "<td>b</td><td>8</td>" not in page


def test_hostile_labels_stay_text(tmp_path):
    made = facts(tmp_path, {(HOSTILE,): [0.4, 0.5]}, {"loss": [HOSTILE]}, claim=HOSTILE)
    page = pathlib.Path(report.write(made, str(tmp_path))).read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 4
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


@pytest.mark.parametrize(("labels", "joined"), [(["16", "64"], True), (["random", "hard"], False)])
def test_a_line_joins_numbers_and_no_names(tmp_path, labels, joined):
    values = {(loss, label): [0.4, 0.5] for loss in ("a", "b") for label in labels}
    made = facts(tmp_path, values, {"loss": ["a", "b"], "x": labels}, x="x", lines="loss")
    (axis, *_) = figures._metrics(made).axes
    means = [container.lines[0].get_linestyle() for container in axis.containers]
    assert means == ["-" if joined else "None"] * 2


@pytest.mark.parametrize("letters", [3, 30])
def test_long_names_of_an_axis_do_not_lie_on_each_other(tmp_path, letters):
    labels = [one * letters for one in "abcd"]
    made = facts(tmp_path, {(label,): [0.4, 0.5] for label in labels}, {"x": labels}, x="x")
    (axis, *_) = figures._metrics(made).axes
    assert {label.get_rotation() for label in axis.get_xticklabels()} == {0.0 if letters == 3 else 30.0}


def test_the_table_has_a_row_for_each_run_and_times_last(tmp_path):
    made = facts(tmp_path, {("a",): [0.4, 0.5], ("b",): [0.6, None]}, {"loss": ["a", "b"]})
    rows = list(csv.reader(io.StringIO(results.table(made))))
    assert rows[0][:4] == ["loss", "seed", "status", "step"]
    assert rows[0][-3:] == list(results.TIMES)
    assert [row[:4] for row in rows[1:]] == [
        ["a", "0", "finished", "5"],
        ["a", "1", "finished", "5"],
        ["b", "0", "finished", "5"],
        ["b", "1", "not run", ""],
    ]
    assert rows[2][rows[0].index("test/image_to_text_recall_at_5")] == "0.5"


def test_markdown_tables_have_as_many_cells_as_their_heads(tmp_path):
    compared = {"metric": METRICS[0], "first": "a", "second": "b", "difference": 0.1, "low": -0.1, "high": 0.3}
    made = facts(
        tmp_path, {("a",): [0.4, 0.5], ("b",): [0.6, None]}, {"loss": ["a", "b"]},
        comparisons=[{**compared, "p_value": 0.2, "verdict": "not decided"}],
    )  # fmt: skip
    report.write(made, str(tmp_path))
    text = (tmp_path / "report.md").read_text()
    tables = re.findall(r"((?:^\|.*\|\n)+)", text, re.MULTILINE)
    assert len(tables) == 3
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
        assert set(table.splitlines()[1]) == {"|", "-"}
    assert "| a | 0.400 (0.390 to 0.410) [0.400, 0.500] |" in text


def test_speeds_of_the_log_are_metrics_but_not_columns_which_are_equal_for_equal_runs(tmp_path):
    made = facts(tmp_path, {("a",): [0.4]}, {"loss": ["a"]})
    assert results.value_of(made["cells"][0]["runs"][0], "log/step_seconds") == 0.5
    assert "step_seconds" not in results.table(made)


def test_a_result_has_the_last_scalars_of_the_log_and_the_median_of_each_rate(tmp_path):
    rows = [{"step": step, "seconds": float(step), "loss": 5.0 - step} for step in range(4)]
    for row, seconds in zip(rows[1:], (0.5, 9.0, 0.25), strict=True):
        row |= {"step_seconds": seconds, "examples_per_second": 8 / seconds}
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = training_run.of_log(str(tmp_path / "log.jsonl"))
    assert found["log"] == {"step": 3, "loss": 2.0}
    assert found["times"] == {"seconds": 3.0, "step_seconds": 0.5, "examples_per_second": 16.0}
    assert (found["seconds"], found["examples_per_second"]) == (3.0, 16.0)


def test_a_scalar_that_no_log_has_is_named_with_those_that_it_has(tmp_path):
    made = facts(tmp_path, {("a",): [0.4]}, {"loss": ["a"]}, metrics=["log/los", "log/loss"])
    printed = terminal_outcome(made)
    assert "log/los: no run has it; the logs have loss, step_seconds" in printed
    assert "log/loss: no run" not in printed


def study(**more) -> StudySettings:
    axis = AxisSettings("loss", {"a": (), "b": ()})
    return StudySettings(name="s", base=("x.gin",), axes=(axis,), metrics=METRICS, compare=(("a", "b"),), **more)


def test_a_cell_with_a_diverged_run_has_no_mean_and_is_not_decided():
    def rows(last: float | None) -> list[dict]:
        values = {"a": [0.5, 0.51], "b": [0.1, last]}
        return [
            {"name": name, "runs": [run(name, seed, value, "", "diverged" if value is None else "finished")
                                    for seed, value in enumerate(both)]}
            for name, both in values.items()
        ]  # fmt: skip

    whole = results.values_of(rows(0.11), METRICS[0])
    (one,) = results.comparisons(study(), METRICS[0], whole)
    assert one["verdict"] == "shown"
    left = results.values_of(rows(None), METRICS[0])
    assert left == {"a": [0.5, 0.51]}
    (one,) = results.comparisons(study(), METRICS[0], left)
    assert one["verdict"] == "not decided"
    assert math.isnan(one["difference"])


def test_a_value_by_chance_is_no_claim_and_is_not_compared():
    values = {"a": [0.5, 0.51], "b": [0.1, 0.11]}
    assert results.comparisons(study(), "scenes/pointing_among_objects_chance", values) == []
    assert results.comparisons(study(), "scenes/pointing_among_objects", values)[0]["verdict"] == "shown"
