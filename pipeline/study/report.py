"""Writes the report of a study: results.csv, results.json, report.md, report.html and the plots."""

import json
import os
from collections.abc import Mapping
from typing import Any

from components.run_report import figures as page_figures
from components.run_report import rendering
from models import files
from models.evaluation import as_json
from models.evaluation.metrics import Confidence
from pipeline.study import figures, results

CSV_FILE, JSON_FILE, MARKDOWN_FILE, PAGE_FILE = "results.csv", "results.json", "report.md", "report.html"


def write(facts: Mapping[str, Any], folder: str) -> str:
    """Writes all files of the report; returns the path of the page."""
    plots = figures.draw(facts)
    for name, picture in plots.items():
        with files.WholeFile(os.path.join(folder, name)) as unfinished, open(unfinished, "wb") as file:
            file.write(picture)
    shown = as_json.without_nan(facts)
    for run in (run for cell in shown["cells"] for run in cell["runs"]):
        run["folder"] = os.path.relpath(run["folder"], folder)
        run["failed_log"] = run["failed_log"] and os.path.relpath(run["failed_log"], folder)
    values = {
        **shown,
        "one_seed": len(facts["seeds"]) == 1,
        "stopped": _stopped(shown),
        "cell_text": _cell_text,
        "bootstrap_text": _bootstrap_text,
        "bootstrap_confidence": Confidence.overall,
    }
    urls = {name: page_figures.data_url(picture) for name, picture in plots.items()}
    written = {
        CSV_FILE: results.table(shown),
        JSON_FILE: json.dumps(shown, indent=1, ensure_ascii=False, allow_nan=False),
        MARKDOWN_FILE: rendering.render_text(__package__, "report.md.j2", {**values, "plots": list(plots)}),
        PAGE_FILE: rendering.render(__package__, "page.html.j2", {**values, "plots": urls}),
    }
    for name, text in written.items():
        files.write_text(os.path.join(folder, name), text)
    return os.path.join(folder, PAGE_FILE)


def _stopped(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The runs that have not finished."""
    runs = [run for cell in facts["cells"] for run in cell["runs"]]
    return [run for run in runs if run["status"] != results.FINISHED]


def _cell_text(cell: Mapping[str, Any], metric: str) -> str:
    """The mean with its interval, and the value of each seed in brackets."""
    values = [results.value_of(run, metric) for run in cell["runs"] if run["status"] == results.FINISHED]
    seeds = f"[{', '.join('-' if value is None else f'{value:.3f}' for value in values)}]"
    mean = cell["means"].get(metric)
    if mean is None:
        return f"- {seeds}"
    interval = "" if mean["low"] is None else f" ({mean['low']:.3f} to {mean['high']:.3f})"
    return f"{mean['value']:.3f}{interval} {seeds}"


def _bootstrap_text(cell: Mapping[str, Any], metric: str) -> str:
    """The interval over pictures of the first seed; "-" if the metric has none."""
    low, high = (results.value_of(cell["runs"][0], f"{metric}_{end}") for end in ("low", "high"))
    return "-" if low is None or high is None else f"{low:.3f} to {high:.3f}"
