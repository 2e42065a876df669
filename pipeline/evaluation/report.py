"""The result of an evaluation: a table for the terminal, evaluation.json and evaluation.html."""

import json
import os
from collections.abc import Mapping
from typing import Any

from components.run_report import rendering
from models import files
from models.evaluation import as_json, metrics
from pipeline.evaluation import probes
from pipeline.evaluation.scores import Scores

JSON_FILE, PAGE_FILE = "evaluation.json", "evaluation.html"
Facts = dict[str, Any]
"""model, confidence, and sets: {name: rows, dropped, metrics, chance, slices and means}; NaN is None."""


def facts(
    model: str,
    found: Mapping[str, Scores],
    manifests: Mapping[str, Mapping[str, Any]],
    probed: Mapping[str, Mapping[str, float]],
    confidence: float,
) -> Facts:
    """Collects what the table, the file and the page show.

    Args:
      model: folder of the model.
      found: {set: its metrics}.
      manifests: {set: the manifest of its rows}.
      probed: {set: the metrics of its probes}.
      confidence: confidence level of the intervals.
    """
    sets = {
        name: {
            "rows": one.rows,
            "dropped": dict(manifests[name]["dropped"]),
            "metrics": {**one.metrics, **probed[name]},
            "chance": one.chance(),
            "slices": one.slices,
            "means": one.means(),
        }
        for name, one in found.items()
    }
    return dict(as_json.without_nan({"model": model, "confidence": confidence, "sets": sets}))


def table(facts: Facts) -> list[str]:
    """The lines of a table: each metric of each set with its interval and chance, then the means over slices."""
    lines = []
    for name, one in facts["sets"].items():
        lines += ["", f"{name}: {counts(one)}", f"{'':<58}{'value':>8}{'interval':>16}{'chance':>8}"]
        for metric, value, low, high, chance in rows_of(one):
            interval = f"{low:.4f}-{high:.4f}"
            lines.append(f"{'  ' + metric.replace('_', ' '):<58}{value:>8.4f}{interval:>16}{_number(chance):>8}")
        for key, by_metric in one["means"].items():
            title = f"  mean over {len(one['slices'][key])} values of {key.replace('_', ' ')}:"
            lines.append(title)
            lines += [f"{'    ' + metric.replace('_', ' '):<58}{value:>8.4f}" for metric, value in by_metric.items()]
    return lines


def counts(one: Mapping[str, Any]) -> str:
    """The numbers of pictures, rows, classes and dropped rows of a set, in words."""
    measured = one["metrics"]
    parts = [f"{measured[metrics.PICTURES]:,.0f} pictures", f"{one['rows']:,} rows"]
    if measured[metrics.CLASSES]:
        parts.append(f"{measured[metrics.CLASSES]:,.0f} classes")
    dropped = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in one["dropped"].items())
    return ", ".join(parts) + (f"; dropped: {dropped}" if dropped else "")


def rows_of(one: Mapping[str, Any]) -> list[tuple[str, float, float, float, float | None]]:
    """(metric, value, low, high, chance) of each metric that the set has."""
    measured = one["metrics"]
    return [
        (name, measured[name], measured[f"{name}_low"], measured[f"{name}_high"], one["chance"].get(name))
        for name in (*metrics.BOUNDED, probes.LINEAR, probes.NEAREST)
        if measured.get(name) is not None
    ]


def write(facts: Facts, folder: str) -> str:
    """Writes the file and the page, each whole or not at all; returns the path of the page."""
    text = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
    files.write_text(os.path.join(folder, JSON_FILE), text + "\n")
    values = {**facts, "rows_of": rows_of, "counts": counts, "calibrations": metrics.CALIBRATIONS}
    page = os.path.join(folder, PAGE_FILE)
    files.write_text(page, rendering.render(__package__, "page.html.j2", values))
    return page


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
