"""The plots of a study, drawn from the facts of results.json and the logs of its runs."""

import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib.figure
from matplotlib.axes import Axes

from components.run_report import figures
from models.training.log import LOG_FILE
from pipeline.study import results
from pipeline.study.training_run import FINISHED

_COLOURS = ("#2457a6", "#c2621b", "#1f7a3d", "#8a3ea8", "#b3261e", "#5d6774", "#9a7b0a", "#17808a")
_STYLES = ("-", "--", ":", "-.")
_CURVES = {
    "loss": "loss",
    "gradient_norm": "norm of the gradient",
    "update_norm": "norm of the update",
    "logit_scale": "logit scale t = exp(t')",
    "logit_bias": "logit bias b",
    "held_out_text_to_image_recall_at_5": "held-out recall@5, text to image",
}
_LOGARITHMIC = ("gradient_norm", "update_norm")
_LETTERS = 45  # of all labels of an axis; more would overlap in one line
_LOGARITHMIC_FROM = 8.0  # the ratio of the largest to the smallest number of the x-axis
Facts = Mapping[str, Any]


def draw(facts: Facts) -> dict[str, bytes]:
    """{file name: PNG} of all plots that the study has data for."""
    drawn = {f"{facts['name']}_metrics.png": _metrics(facts)}
    logs = {(cell["name"], run["seed"]): _log(run) for cell in facts["cells"] for run in cell["runs"]}
    if any(logs.values()):
        drawn[f"{facts['name']}_curves.png"] = _curves(facts, logs)
    if any(cell["cost"]["examples_per_second"] for cell in facts["cells"]):
        drawn[f"{facts['name']}_cost.png"] = _cost(facts)
    return {name: figures.png(figure) for name, figure in drawn.items()}


def _metrics(facts: Facts) -> matplotlib.figure.Figure:
    """A row of panels for each metric; a panel for each choice of points of the axes that are neither x nor lines."""
    others = [axis for axis in facts["axes"] if axis not in (facts["x"], facts["lines"])]
    panels = list(itertools.product(*(facts["axes"][axis] for axis in others)))
    size = (max(4.8, 4.2 * len(panels)), 3.1 * len(facts["metrics"]))
    figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(facts["metrics"]), len(panels), squeeze=False, sharey="row")
    for metric, row in zip(facts["metrics"], grid, strict=True):
        for panel, axis in zip(panels, row, strict=True):
            _over_x(axis, facts, metric, dict(zip(others, panel, strict=True)))
        row[0].set_title(_title(metric) + (f" ({', '.join(panels[0])})" if others else ""), fontsize=10, loc="left")
        for panel, axis in itertools.islice(zip(panels, row, strict=True), 1, None):
            axis.set_title(", ".join(panel), fontsize=10, loc="left")
    return figure


def _over_x(axis: Axes, facts: Facts, metric: str, fixed: Mapping[str, str]) -> None:
    """Draws a metric with intervals over the x-axis, with a colour for each point of the axis of lines.

    A line joins points only if the x-axis has numbers: between names, there is nothing that it could show.
    """
    labels = facts["axes"][facts["x"]]
    numbers = _numbers(labels)
    places = numbers or [float(place) for place in range(len(labels))]
    lines = facts["axes"].get(facts["lines"], [""])
    for number, line in enumerate(lines):
        wanted = {**fixed, **({facts["lines"]: line} if facts["lines"] else {})}
        shift = 0.0 if numbers else 0.08 * (number - (len(lines) - 1) / 2)
        points = [(place + shift, cell) for place, cell in _cells(facts, wanted, places)]
        colour = _COLOURS[number % len(_COLOURS)]
        for place, cell in points:
            seeds = [results.value_of(run, metric) for run in cell["runs"] if run["status"] == FINISHED]
            known = [value for value in seeds if value is not None]
            axis.plot([place] * len(known), known, ".", color=colour, alpha=0.35, ms=5)
        known_means = [(place, cell["means"][metric]) for place, cell in points if metric in cell["means"]]
        if known_means:
            xs, means = zip(*known_means, strict=True)
            margins = [0.0 if math.isnan(one["high"]) else one["high"] - one["value"] for one in means]
            style: dict[str, Any] = {"color": colour, "lw": 1.4, "capsize": 3, "marker": "o", "ms": 4}
            style |= {} if numbers else {"ls": ""}
            axis.errorbar(xs, [one["value"] for one in means], yerr=margins, label=line or None, **style)
    if numbers and min(numbers) > 0 and max(numbers) / min(numbers) >= _LOGARITHMIC_FROM:
        axis.set_xscale("log")
        axis.minorticks_off()
    axis.set_xticks(places, labels)
    if not numbers and sum(map(len, labels)) > _LETTERS:
        for label in axis.get_xticklabels():
            label.set(rotation=30, ha="right")
    axis.set_xlabel(facts["x"], fontsize=9)
    if len(lines) > 1 and axis.get_legend_handles_labels()[0]:  # a metric may have no value yet
        axis.legend(fontsize=8, frameon=False, title=facts["lines"], title_fontsize=8)
    _plain(axis)


def _cells(
    facts: Facts, wanted: Mapping[str, str], places: Sequence[float]
) -> Iterator[tuple[float, Mapping[str, Any]]]:
    """(place on the x-axis, cell) of the cells with these labels on the other axes."""
    for label, place in zip(facts["axes"][facts["x"]], places, strict=True):
        for cell in facts["cells"]:
            if cell["labels"] == {**wanted, facts["x"]: label}:
                yield place, cell


def _curves(facts: Facts, logs: Mapping[tuple[str, int], Sequence[Mapping[str, float]]]) -> matplotlib.figure.Figure:
    """Scalars of the logs over the steps: a line for each run, a colour and style for each cell."""
    names = [name for name in _CURVES if any(name in row for log in logs.values() for row in log)]
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = matplotlib.figure.Figure(figsize=(4.2 * columns, 2.9 * rows + 0.3), layout="constrained")
    grid: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flatten())
    cells = [cell["name"] for cell in facts["cells"]]
    for axis, name in itertools.zip_longest(grid, names):
        if name is None:
            axis.set_axis_off()
            continue
        for (cell, _), log in logs.items():
            place = cells.index(cell)
            style: dict[str, Any] = {
                "color": _COLOURS[place % len(_COLOURS)],
                "ls": _STYLES[place // len(_COLOURS) % len(_STYLES)],
            }
            kept = [(row["step"], row[name]) for row in log if name in row]
            axis.plot(*(zip(*kept, strict=True) if kept else ((), ())), lw=0.9, alpha=0.8, **style)
        axis.set_title(_CURVES[name], fontsize=10, loc="left")
        axis.set_xlabel("step", fontsize=9)
        if name in _LOGARITHMIC:
            axis.set_yscale("log")
        else:
            axis.ticklabel_format(axis="y", useOffset=False)
        _plain(axis)
    for place, cell in enumerate(cells):
        style = {"color": _COLOURS[place % len(_COLOURS)], "ls": _STYLES[place // len(_COLOURS) % len(_STYLES)]}
        grid[0].plot([], [], label=cell, **style)
    figure.legend(loc="outside lower center", ncols=min(4, len(cells)), fontsize=8, frameon=False)
    return figure


def _cost(facts: Facts) -> matplotlib.figure.Figure:
    """Examples a second and memory of each cell, the medians of its runs."""
    cells = facts["cells"]
    figure = matplotlib.figure.Figure(figsize=(8.4, 0.3 * len(cells) + 0.9), layout="constrained")
    both = figure.subplots(1, 2, sharey=True)
    for axis, name, unit, title in (
        (both[0], "examples_per_second", 1.0, "examples/s"),
        (both[1], "peak_memory_bytes", 1e9, "peak memory of training, GB"),
    ):
        axis.barh(
            range(len(cells)), [(cell["cost"][name] or 0.0) / unit for cell in cells], color=_COLOURS[0], height=0.6
        )
        axis.set_title(title, fontsize=10, loc="left")
        _plain(axis)
    both[0].set_yticks(range(len(cells)), [cell["name"] for cell in cells], fontsize=9)
    both[0].invert_yaxis()
    return figure


def _plain(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)


def _numbers(labels: Sequence[str]) -> list[float]:
    """The labels as numbers; [] unless all of them are."""
    try:
        return [float(label) for label in labels] if len(labels) > 1 else []
    except ValueError:
        return []


def _title(metric: str) -> str:
    where, name = metric.split("/")
    return f"{name.replace('_', ' ')}, {where}"


def _log(run: Mapping[str, Any]) -> list[dict[str, float]]:
    if run["status"] in (results.NOT_RUN, results.FAILED):
        return []
    with open(os.path.join(run["folder"], LOG_FILE)) as file:
        return [json.loads(line) for line in file]
