"""The report's plots, as data: URLs of PNG pictures."""

import base64
import io
from collections.abc import Mapping, Sequence

import matplotlib.figure
import numpy as np

from components.run_report.gate import Line

_FEWEST = 2  # points and channels of a scatter
_BLUE, _GREY, _ORANGE = "#2457a6", "#9aa3ad", "#c2621b"


def training_curves(log: Sequence[Mapping[str, float]]) -> str:
    """Plots loss, logit scale t and, if the loss has one, logit bias b over the steps; "" without training steps."""
    if not log:
        return ""
    figure = matplotlib.figure.Figure(figsize=(9.6, 2.7), layout="constrained")
    steps = [row["step"] for row in log]
    names = {"loss": "loss", "logit_scale": "logit scale t = exp(t')", "logit_bias": "logit bias b"}
    names = {name: title for name, title in names.items() if name in log[0]}
    axes = figure.subplots(1, len(names), squeeze=False)[0]
    for axis, (name, title) in zip(axes, names.items(), strict=True):
        axis.plot(steps, [row[name] for row in log], color=_BLUE)
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_xlabel("step", fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    return data_url(png(figure))


def metric_bars(lines: Sequence[Line], headline: Mapping[str, float]) -> str:
    """Plots each metric on the test split and, with its interval, on the eval split, with chance and the last model."""
    figure = matplotlib.figure.Figure(figsize=(9.6, 0.55 * len(lines) + 0.9), layout="constrained")
    axis = figure.subplots()
    labelled: set[str] = set()

    def once(label: str) -> str | None:
        """Returns the label for the first mark of each kind only, so that the legend lists it once."""
        new = label not in labelled
        labelled.add(label)
        return label if new else None

    for row, line in enumerate(lines):
        ends = [row - 0.4, row + 0.4]
        axis.barh(row - 0.2, headline[line.metric], height=0.36, color=_BLUE, label=once("test split"))
        axis.barh(row + 0.2, line.value, height=0.36, color="#9fbbe6", label=once("eval split (gate)"))
        ends_of_interval = [[line.value - line.low], [line.high - line.value]]
        axis.errorbar(line.value, row + 0.2, xerr=ends_of_interval, color="#3d5f99", lw=1.2, capsize=3)
        axis.plot([line.chance] * 2, ends, color="black", lw=1.5, label=once("chance"))
        if line.min_value is not None:
            axis.plot([line.min_value] * 2, ends, color=_ORANGE, lw=1.5, ls="--", label=once("gate"))
        if line.last_blessed is not None:
            label = once("last blessed model")
            axis.plot(line.last_blessed, row + 0.2, marker="D", ms=5, color=_GREY, ls="", label=label)
    axis.set_yticks(range(len(lines)), [line.metric.replace("_", " ") for line in lines], fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(axis="x", labelsize=8)
    axis.legend(fontsize=8, frameon=False, loc="lower right")
    return data_url(png(figure))


def modalities(image: np.ndarray, text: np.ndarray) -> str:
    """Plots embeddings of pictures and texts, float [N, D] each, on the first two principal axes of both together."""
    both = np.concatenate([image, text]).astype(np.float64)
    centred = both - both.mean(axis=0)
    if min(both.shape) < _FEWEST or not np.isfinite(centred).all():
        return ""
    places = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    figure = matplotlib.figure.Figure(figsize=(5.2, 4.2), layout="constrained")
    axis = figure.subplots()
    for label, colour, rows in (("pictures", _BLUE, places[: len(image)]), ("texts", _ORANGE, places[len(image) :])):
        axis.scatter(rows[:, 0], rows[:, 1], s=9, alpha=0.5, lw=0, color=colour, label=label)
    axis.set_xlabel("first principal axis", fontsize=9)
    axis.set_ylabel("second", fontsize=9)
    axis.set_aspect("equal", "datalim")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.legend(fontsize=8, frameon=False)
    return data_url(png(figure))


def time_bars(components: Mapping[str, float], training: Mapping[str, float]) -> str:
    """Plots the seconds of the run up to each artifact, and those of training by what they were spent on."""
    shown = [(title, parts) for title, parts in (("run", components), ("training", training)) if parts]
    if not shown:
        return ""
    rows = sum(len(parts) for _, parts in shown)
    figure = matplotlib.figure.Figure(figsize=(9.6, 0.24 * rows + 0.9), layout="constrained")
    heights = [len(parts) + 1 for _, parts in shown]
    axes = figure.subplots(len(shown), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axis, (title, parts) in zip(axes, shown, strict=True):
        bars = axis.barh(range(len(parts)), list(parts.values()), color=_BLUE)
        axis.bar_label(bars, [f"{seconds:.1f} s" for seconds in parts.values()], padding=3, fontsize=8)
        axis.set_yticks(range(len(parts)), list(parts), fontsize=8)
        axis.set_title(f"{title}: {sum(parts.values()):.0f} s", fontsize=10, loc="left")
        axis.invert_yaxis()
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(axis="x", labelsize=8)
    axis.set_xlabel("seconds", fontsize=9)
    return data_url(png(figure))


def png(figure: matplotlib.figure.Figure) -> bytes:
    """The figure as a PNG; the same figure gives the same bytes."""
    encoded = io.BytesIO()
    figure.savefig(encoded, format="png", dpi=110, metadata={"Software": None})
    return encoded.getvalue()


def data_url(picture: bytes) -> str:
    """The data: URL of a PNG."""
    return "data:image/png;base64," + base64.b64encode(picture).decode()
