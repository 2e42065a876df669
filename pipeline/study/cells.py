"""The cells of a study: which gin each one has, and its resolved settings."""

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from models.settings import configuration
from models.settings.checks import require
from models.settings.configuration import ConfigurationError, GinFile, GinLines
from pipeline.settings.run import PipelineSettings
from pipeline.study.settings import LOG, TEST, AxisSettings, StudySettings

_UNBOUND = 2**62  # a number of steps, and a seed, that no point binds
_NAMED = re.compile(r"(?:gin: )?((?:\w+/)*[A-Z]\w*\.\w+)\b")


@dataclasses.dataclass(frozen=True)
class Cell:
    """A variant of the base.

    Attributes:
      name: its labels, joined.
      labels: {axis: label}.
      settings: of its pipeline.
    """

    name: str
    labels: dict[str, str]
    settings: PipelineSettings

    @property
    def folder(self) -> str:
        """The name of its folder: its name without characters that are special in paths."""
        return re.sub(r"[^\w.=+-]+", "_", self.name).strip("_.") or "cell"


class _Part(NamedTuple):
    """A part of a point's gin, and where it stands."""

    gin: GinFile | GinLines
    place: str

    @property
    def text(self) -> str:
        """The gin itself, without what a file includes."""
        return self.gin.text if isinstance(self.gin, GinLines) else pathlib.Path(self.gin.path).read_text()


def base(study: StudySettings, folder: str) -> PipelineSettings:
    """The settings of the base alone; `folder` is that of the study's file.

    Raises:
      ConfigurationError: a file is missing, or its gin cannot be used.
    """
    try:
        return configuration.load_in_order(_base_files(study, folder), [PipelineSettings])[0]
    except ConfigurationError as error:
        raise ConfigurationError(f"Study.base {study.base}: {error}") from error


def resolve(study: StudySettings, folder: str) -> list[Cell]:
    """Makes the settings of every cell; `folder` is that of the study's file.

    Raises:
      ConfigurationError: a file is missing, or the gin of a cell cannot be used; the message names cell, point and fix.
    """
    cells, axes = [], [axis.name for axis in study.axes]
    for name, labels in study.cells.items():
        points = [part for axis, label in zip(study.axes, labels, strict=True) for part in _parts(axis, label, folder)]
        try:
            settings = _resolve_one(study, _base_files(study, folder), [part.gin for part in points])
            _require_usable(study, settings)
        except ValueError as error:
            raise ConfigurationError(f"cell {name!r}: {error}{_places(str(error), points)}") from error
        cells.append(Cell(name, dict(zip(axes, labels, strict=True)), settings))
    _require_folders(cells)
    return cells


def _resolve_one(
    study: StudySettings, files: Sequence[GinFile], points: Sequence[GinFile | GinLines]
) -> PipelineSettings:
    """Loads the base, what the study sets, and the points, which win."""

    def load(*lines: str) -> PipelineSettings:
        return configuration.load_in_order([*files, *map(GinLines, lines), *points], [PipelineSettings])[0]

    probe = load(f"Training.steps = {_UNBOUND}", "Schedule.warmup_steps = 0", f"Training.seed = {_UNBOUND}").training
    require(probe.seed == _UNBOUND, "Training.seed", probe.seed, "unbound in points", "remove it, and set Study.seeds")
    if not study.examples:
        return load()
    steps = probe.steps
    if steps == _UNBOUND:
        steps = study.examples // probe.batch_size
        rule = f"at least Training.batch_size ({probe.batch_size})"
        require(steps > 0, "Study.examples", study.examples, rule, "raise it, or lower the batch")
    return load(f"Training.steps = {steps}", f"Schedule.warmup_steps = {round(study.warmup * steps)}")


def _require_usable(study: StudySettings, settings: PipelineSettings) -> None:
    """Raises ValueError if a study cannot run the pipeline, or it lacks an evaluation set of the study's metrics."""
    fix = "remove it: a study trains each run from its own seed"
    require(not settings.warm_start, "Pipeline.warm_start", settings.warm_start, "False in a study", fix)
    sets = {one.name: one for one in settings.all_evaluation_sets}
    fix = "rename the set"
    require(not {LOG, TEST} & set(sets), "EvaluationSet.name", list(sets), f"neither {LOG!r} nor {TEST!r}", fix)
    for metric in study.metrics:
        where, name = metric.split("/")
        known = [LOG, TEST, *sets]
        require(where in known, "Study.metrics: the set", where, f"one of {', '.join(known)}", "correct it")
        retrieves = where not in sets or sets[where].retrieval or "_recall_at_" not in name
        rule = f"no recall, because {where}/EvaluationSet.retrieval is off"
        require(retrieves, "Study.metrics", metric, rule, "change either")


def _require_folders(cells: Sequence[Cell]) -> None:
    """Raises ConfigurationError if two cells would share a folder."""
    seen: dict[str, str] = {}
    for cell in cells:
        if other := seen.get(cell.folder):
            raise ConfigurationError(
                f"the cells {other!r} and {cell.name!r} would share the folder {cell.folder!r}, because their labels "
                "have the same letters and digits; change one of them"
            )
        seen[cell.folder] = cell.name


def _base_files(study: StudySettings, folder: str) -> list[GinFile]:
    return [GinFile(_find(name, folder, "Study.base")) for name in study.base]


def _parts(axis: AxisSettings, label: str, folder: str) -> Iterator[_Part]:
    place = f"axis {axis.name!r}, point {label!r}"
    for gin in axis.parts(label):
        is_file = gin.strip().endswith(".gin") and "=" not in gin
        yield _Part(
            GinFile(_find(gin.strip(), folder, place), must_use=True) if is_file else GinLines(gin, place), place
        )


def _find(name: str, folder: str, place: str) -> str:
    """Path of a gin file in the study's folder, or else in the working directory."""
    for path in (os.path.join(folder, name), name):
        if os.path.isfile(path):
            return path
    raise ConfigurationError(
        f"{place}: {name!r} is neither a file in {folder or '.'} nor in the working directory; correct its path"
    )


def _places(message: str, points: Sequence[_Part]) -> str:
    """The points that bind the setting that the message begins with, as " (axis ..., point ...)"."""
    named = _NAMED.match(message)
    if not named:
        return ""
    setting = re.compile(rf"(?<![\w/.]){re.escape(named[1])}\s*=")
    found = [one.place for one in points if setting.search(one.text)]
    return f" ({'; '.join(found)})" if found else ""
