"""All results of a study as one dict for programs and for the report, and as a table with a row for each run."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from components import installed
from models.evaluation import composition, metrics, reranking
from models.settings import configuration
from pipeline.study import statistics
from pipeline.study.settings import LOG, StudySettings
from pipeline.study.training_run import FINISHED

if TYPE_CHECKING:
    from pipeline.settings.run import PipelineSettings
    from pipeline.study.cells import Cell
    from pipeline.study.runs import Run

FAILED, NOT_RUN = "failed", "not run"
TIMES = ("seconds", "examples_per_second", "peak_memory_bytes")
"""Columns of results.csv that depend on the machine and its load. They are its last columns."""


def collect(
    study: StudySettings,
    base: PipelineSettings,
    cells: Sequence[Cell],
    runs: Sequence[Run],
    failures: Mapping[str, str],
    command: str,
) -> dict[str, Any]:
    """Reads the results of all runs and compares the cells.

    Args:
      study: the study.
      base: the settings of its base alone.
      cells: its cells, as gin has them.
      runs: all runs of the study.
      failures: {title of a failed run: path of its log}.
      command: the command line.
    """
    shown = [_run(run, failures) for run in runs]
    rows: list[dict[str, Any]] = []
    for cell in cells:
        of_cell = [one for one in shown if one["cell"] == cell.name]
        row: dict[str, Any] = {"name": cell.name, "labels": cell.labels, "gin": _changes(base, cell), "runs": of_cell}
        row |= {"cost": {name: _median(of_cell, name) for name in TIMES}, "reranked": _reranked(of_cell)}
        rows.append({**row, "means": {}})
    values = {metric: values_of(rows, metric) for metric in study.metrics}
    for metric, found in values.items():
        intervals = statistics.means(found, study.confidence)
        for row in rows:
            if one := intervals.get(row["name"]):
                row["means"][metric] = {"value": one.value, "low": one.low, "high": one.high}
    x, lines = study.drawn
    return {
        "name": study.name,
        "claim": study.claim,
        "command": command,
        "base": list(study.base),
        "seeds": list(study.seeds),
        "confidence": study.confidence,
        "metrics": list(study.metrics),
        "axes": {axis.name: list(axis.points) for axis in study.axes},
        "x": x,
        "lines": lines,
        "cells": rows,
        "comparisons": [one for metric in study.metrics for one in comparisons(study, metric, values[metric])],
        "versions": installed.versions(),
    }


def table(facts: Mapping[str, Any]) -> str:
    """results.csv: a row for each run, with all that was measured."""
    runs = [(cell, run) for cell in facts["cells"] for run in cell["runs"]]
    measured = {
        f"{where}/{name}": None for _, run in runs for where, found in run["metrics"].items() for name in found
    } | {f"{LOG}/{name}": None for _, run in runs for name in run["log"]}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*facts["axes"], "seed", "status", "step", *measured, *TIMES])
    for cell, run in runs:
        row = [*cell["labels"].values(), run["seed"], run["status"], run["step"]]
        row += [value_of(run, name) for name in measured] + [run[name] for name in TIMES]
        writer.writerow(["" if one is None else one for one in row])
    return text.getvalue()


def value_of(run: Mapping[str, Any], metric: str) -> float | None:
    """The value of SET/METRIC of a run; None if the run has none."""
    where, name = metric.split("/", 1)
    found = {**run["times"], **run["log"]} if where == LOG else run["metrics"].get(where, {})
    return found.get(name)


def _run(run: Run, failures: Mapping[str, str]) -> dict[str, Any]:
    result = run.result()
    log = failures.get(run.title, "")
    shown: dict[str, Any] = {"cell": run.cell.name, "seed": run.seed, "folder": run.folder, "failed_log": log}
    shown |= {"step": None, "metrics": {}, "log": {}, "times": {}, "reranking": [], **dict.fromkeys(TIMES)}
    if result is None:
        return shown | {"status": FAILED if log else NOT_RUN}
    return {key: result.get(key, value) for key, value in shown.items()} | {"status": result["status"]}


def _reranked(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Retrieval in two stages at each depth: means over the runs; [] if a run has none."""
    depths = {tuple(row["depth"] for row in run["reranking"]) for run in runs}
    if len(depths) != 1:
        return []
    rows = []
    for of_depth in zip(*(run["reranking"] for run in runs), strict=True):
        recalls = {name: float(np.mean([row["recalls"][name] for row in of_depth])) for name in reranking.RECALLS}
        seconds = float(np.median([row["seconds"] for row in of_depth]))
        rows.append({"depth": of_depth[0]["depth"], **recalls, "seconds": seconds})
    return rows


def values_of(cells: Sequence[Mapping[str, Any]], metric: str) -> dict[str, list[float]]:
    """{cell: values of its runs} of the cells whose runs have all finished and have the metric.

    The mean of the seeds that did not diverge would be a mean of chosen seeds.
    """
    found = {}
    for cell in cells:
        values = [value_of(run, metric) for run in cell["runs"] if run["status"] == FINISHED]
        known = [value for value in values if value is not None]
        if len(known) == len(cell["runs"]):
            found[cell["name"]] = known
    return found


def comparisons(study: StudySettings, metric: str, values: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
    """The comparisons of one metric, which are one family for Holm's correction; none for a value by chance."""
    if metric.split("/")[1] in metrics.CHANCES.values():
        return []
    judged = metric.split("/")[1] in (*metrics.SHARES, *reranking.METRICS, *composition.METRICS)
    found = statistics.differences(values, study.compare, study.confidence)
    return [
        {
            "metric": metric,
            "first": first,
            "second": second,
            "difference": one.value,
            "low": one.low,
            "high": one.high,
            "p_value": one.p_value,
            "verdict": one.verdict if judged else "",
        }
        for (first, second), one in zip(study.compare, found, strict=True)
    ]


def _changes(base: PipelineSettings, cell: Cell) -> list[str]:
    """The lines of resolved gin that only the cell has, as "+ line", and that only the base has, as "- line"."""
    before, after = (configuration.to_gin(one).splitlines() for one in (base, cell.settings))
    lines = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
    return [f"{line[0]} {line[1:]}" for line in lines if line[0] in "+-" and line[1:]]


def _median(runs: Sequence[Mapping[str, Any]], name: str) -> float | None:
    known = [run[name] for run in runs if run[name] is not None]
    return float(np.median(known)) if known else None
