"""A study from its gin to its report. What it does not need before gin is checked, it imports later."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing.util
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from models import files
from models.settings import configuration
from pipeline.console import output_folder, terminal

if TYPE_CHECKING:
    from pipeline.study.cells import Cell
    from pipeline.study.settings import StudySettings

FOLDER, STUDY_FILE = "study", "study.json"


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes:
      output_dir: the folder that has a folder for each study.
      jobs: largest number of runs at once.
      only: a regular expression; only cells whose names match are run. "" runs all.
      dry_run: prints the cells, and runs nothing.
      command: the command line, for the report.
    """

    output_dir: str
    jobs: int = 1
    only: str = ""
    dry_run: bool = False
    command: str = ""


def run(gin_files: Sequence[str], gin_bindings: Sequence[str], options: Options) -> bool:
    """Runs the study that the gin describes, and writes its report; returns whether no run has failed.

    Args:
      gin_files: gin files of the study. The paths in them are relative to the last one.
      gin_bindings: bindings of Study and Axis, which win over the files.
      options: the rest of the command line.

    Raises:
      ValueError: the gin is invalid, an input is missing, a batch is too large, or the folder is of another study.
      ComponentFailed: a component of the data part raised an exception.
    """
    start = time.monotonic()
    terminal.quiet_terminal()
    print("Loading TensorFlow and TFX (half a minute on a cold machine)", flush=True)
    from pipeline.study import cells as grid
    from pipeline.study.settings import DATA_FOLDER, StudySettings

    (settings,) = configuration.load(gin_files, gin_bindings, [StudySettings])
    here = os.path.dirname(gin_files[-1])
    base, cells = grid.base(settings, here), grid.resolve(settings, here)
    chosen = _chosen(cells, options.only)
    if options.dry_run:
        _describe(settings, chosen)
        return True

    from pipeline.study import data, report, results, runs
    from pipeline.study.runner import Runner

    folder = os.path.join(options.output_dir, settings.name)
    own = os.path.join(folder, FOLDER)
    multiprocessing.util.get_temp_dir()  # now, because the folder's own temporary files end before this process does
    with output_folder.alone(folder):
        _take(own, settings, os.path.basename(gin_files[-1]))
        pinned = [data.pin(cell) for cell in cells]
        prepared = data.prepare(pinned, os.path.join(options.output_dir, DATA_FOLDER))
        made = runs.make(pinned, prepared, settings.seeds, own, settings.keep_models)
        failures = Runner([one for one in made if one.cell.name in chosen], options.jobs).go()
        facts = results.collect(settings, base, cells, made, failures, options.command)
        page = report.write(facts, own)
    print(outcome(facts))
    print(f"Took {time.monotonic() - start:.0f} s. Report: {page}")
    return not failures


def _chosen(cells: Sequence[Cell], only: str) -> dict[str, Cell]:
    """{name: cell} of the cells that --only matches; raises ValueError if it matches none."""
    try:
        chosen = {cell.name: cell for cell in cells if re.search(only, cell.name)}
    except re.error as error:
        raise ValueError(f"--only={only} is no regular expression ({error}); correct it") from error
    if not chosen:
        raise ValueError(f"--only={only} matches none of the cells {[cell.name for cell in cells]}; correct it")
    return chosen


def _describe(settings: StudySettings, cells: Mapping[str, Cell]) -> None:
    """Prints every cell with its resolved gin, and the runs and steps."""
    for cell in cells.values():
        print(f"\n# Cell {cell.name!r}\n{configuration.to_gin(cell.settings)}")
    print(f"{len(cells)} cells, {len(cells) * len(settings.seeds)} runs (seeds {settings.seeds}):")
    for cell in cells.values():
        training = cell.settings.training
        examples = training.steps * training.batch_size
        print(f"  {cell.name}: {training.steps} steps of {training.batch_size} pairs, {examples:,} pairs a run")


def _take(folder: str, settings: StudySettings, gin_file: str) -> None:
    """Marks the folder as that of this study.

    Raises:
      ValueError: it is the folder of another study, or of a pipeline.
    """
    path = os.path.join(folder, STUDY_FILE)
    ours = {"gin_file": gin_file, "axes": [axis.name for axis in settings.axes]}
    fix = "set another Study.name or --output_dir, or remove that folder"
    above = os.path.dirname(folder)
    if os.path.exists(path):
        with open(path) as file:
            theirs = json.load(file)
        if theirs != ours:
            raise ValueError(
                f"{folder} holds the study of {theirs['gin_file']} with the axes {theirs['axes']}, but this is "
                f"{gin_file} with the axes {ours['axes']}; {fix}"
            )
    elif os.path.exists(os.path.join(above, "artifacts")):
        raise ValueError(f"{above} holds the outputs of a pipeline named {settings.name!r}; {fix}")
    files.write_text(path, json.dumps(ours))


def outcome(facts: Mapping[str, Any]) -> str:
    """The means and the verdicts, for a terminal."""
    width = max(len(cell["name"]) for cell in facts["cells"])
    lines = [""]
    for metric in facts["metrics"]:
        lines += [metric, *_unknown(facts, metric)]
        for cell in facts["cells"]:
            mean = cell["means"].get(metric)
            text = "no mean" if mean is None else f"{mean['value']:.3f}"
            if mean and mean["low"] == mean["low"]:
                text += f" ({mean['low']:.3f} to {mean['high']:.3f})"
            lines.append(f"  {cell['name']:<{width}}  {text}")
    for one in facts["comparisons"]:
        if one["verdict"]:
            lines.append(f"{one['metric']}: {one['first']} above {one['second']}: {one['verdict']}")
    return "\n".join(lines)


def _unknown(facts: Mapping[str, Any], metric: str) -> list[str]:
    """A line that names the scalars of the logs, if runs have finished and none of them has this one."""
    where, name = metric.split("/")
    logs = [{**run["times"], **run["log"]} for cell in facts["cells"] for run in cell["runs"] if run["log"]]
    if where != "log" or not logs or any(name in log for log in logs):
        return []
    return [f"{metric}: no run has it; the logs have {', '.join(sorted(set().union(*logs)))}. Correct Study.metrics"]
