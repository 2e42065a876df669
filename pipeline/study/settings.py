"""Settings of a study."""

import dataclasses
import difflib
import itertools
import re
from collections.abc import Iterable, Sequence

from models.evaluation import composition, metrics, reranking
from models.evaluation.metrics import Confidence
from models.settings.checks import require, require_at_least_zero, require_fraction, settings_class

LOG = "log"
"""The set of a metric that is the last value of a scalar in training_log.jsonl, as in 'log/logit_bias'."""
TEST = "test"
"""The set of a metric on the test split."""
DATA_FOLDER = "study_data"
"""Name of the folder of the data in the output folder, and of the pipeline that makes them."""

_METRIC = re.compile(r"(\w+)/(\w+)")
_KNOWN = (
    *metrics.BOUNDED,
    *metrics.CHANCES.values(),
    *metrics.CALIBRATIONS,
    *reranking.METRICS,
    *composition.METRICS,
)


@settings_class("Axis")
class AxisSettings:
    """What differs between cells in one respect. A cell takes one point of each axis.

    Attributes:
      name: name of the axis in the table and in the plots, such as 'loss'. Required.
      points: {label: gin}, such as {'softmax': 'Training.objective = @Softmax()'}. The gin is lines, the name of a gin
        file (relative to the study's file, or to the working directory), or a tuple of these. () changes nothing.
        Required.
    """

    name: str = ""
    points: dict[str, str | tuple[str, ...]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        require(bool(self.name.strip()), "Axis.name", self.name, "a name", "name it, as in loss/Axis.name = 'loss'")
        name = f"Axis.points of axis {self.name!r}"
        require(bool(self.points), name, self.points, "not empty", "name at least one point")
        for label in self.points:
            require(bool(label.strip()), f"a label in {name}", label, "a text that is not empty", "name the point")

    def parts(self, label: str) -> tuple[str, ...]:
        """The gin of a point, as lines and names of files in their order."""
        gin = self.points[label]
        return (gin,) if isinstance(gin, str) else gin


@settings_class("Study")
class StudySettings:
    """A grid of variants of one pipeline, each trained with several seeds, and what is compared.

    A cell is named by its labels, in the order of the axes, such as 'sigmoid, 64'.

    Attributes:
      name: name of the study, and of its folder in --output_dir (letters, digits and _). Required.
      base: gin files that all cells share, such as ('../quickstart.gin',). Their paths are relative to the study's
        file, or to the working directory. Required.
      axes: the axes of the grid, such as (@loss/Axis(), @batch/Axis()). Required.
      without: names of cells to leave out.
      seeds: values of Training.seed. Each cell has a run for each; all cells have the same ones. One seed gives no
        interval.
      examples: pairs that each run sees. Training.steps is this number divided by Training.batch_size. 0 leaves the
        steps as gin has them, and so does a point that binds Training.steps.
      warmup: share of the steps that Schedule.warmup_steps takes, unless `examples` is 0 or a point binds that setting.
      metrics: what the tables and plots show, each as SET/METRIC. SET is an evaluation set, 'test' for the test split,
        or 'log' for the last value of a scalar of the log, such as 'log/logit_bias'.
      x: name of the axis along the x-axis of the plots. "" takes the last axis.
      lines: name of the axis that has a line for each of its points. "" takes the first axis other than `x`.
      compare: pairs of names of cells; the claim is that the first is better. Only shares of right answers get a
        verdict, because higher is better.
      claim: the statement that the study tests, shown beside the result.
      confidence: confidence level of the intervals over seeds.
      keep_models: keeps the model of each run, in the folder of the run.
    """

    name: str = ""
    base: tuple[str, ...] = ()
    axes: tuple[AxisSettings, ...] = ()
    without: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    examples: int = 0
    warmup: float = 0.05
    metrics: tuple[str, ...] = ("test/image_to_text_recall_at_5", "test/text_to_image_recall_at_5")
    x: str = ""
    lines: str = ""
    compare: tuple[tuple[str, str], ...] = ()
    claim: str = ""
    confidence: float = Confidence.overall
    keep_models: bool = False

    def __post_init__(self) -> None:
        require(self.name.isidentifier(), "Study.name", self.name, "letters, digits and _", "name it")
        rule = "another name, because the folder of that name holds the data of all studies"
        require(self.name != DATA_FOLDER, "Study.name", self.name, rule, "rename the study")
        require(bool(self.base), "Study.base", self.base, "not empty", "name a gin file, as in ('../quickstart.gin',)")
        require(bool(self.axes), "Study.axes", self.axes, "not empty", "add one, such as (@loss/Axis(),)")
        _require_different("Study.axes", [axis.name for axis in self.axes], "set Axis.name of each in its scope")
        _require_different("Study.seeds", self.seeds, "remove or change one of them")
        require(bool(self.seeds), "Study.seeds", self.seeds, "not empty", "name at least one")
        require_at_least_zero(self, "examples", fix="0 leaves Training.steps as they are")
        require_fraction(self, "warmup")
        fix = f"try {Confidence.overall}"
        require(0 < self.confidence < 1, "Study.confidence", self.confidence, "above 0 and below 1", fix)
        require(bool(self.metrics), "Study.metrics", self.metrics, "not empty", "name at least one")
        _require_different("Study.metrics", self.metrics, "remove one of them")
        for metric in self.metrics:
            _require_metric(metric)
        self._require_axes_and_cells()

    @property
    def cells(self) -> dict[str, tuple[str, ...]]:
        """{name of a cell: the label of its point on each axis}."""
        grid = itertools.product(*(axis.points for axis in self.axes))
        return {name: labels for labels in grid if (name := ", ".join(labels)) not in self.without}

    @property
    def drawn(self) -> tuple[str, str]:
        """Names of the axes that the plots have as x-axis and as lines; "" for the lines of a study with one axis."""
        names = [axis.name for axis in self.axes]
        x = self.x or next(name for name in reversed(names) if name != self.lines or len(names) == 1)
        return x, self.lines or next((name for name in names if name != x), "")

    def _require_axes_and_cells(self) -> None:
        everything = [", ".join(labels) for labels in itertools.product(*(axis.points for axis in self.axes))]
        _require_different("the names of the cells", everything, "change a label")
        _require_known("Study.without", "cell", self.without, everything)
        require(bool(self.cells), "Study.without", self.without, "less than all cells", "remove some")
        for pair in self.compare:
            _require_known("Study.compare", "cell", pair, self.cells)
            _require_different("a pair in Study.compare", pair, "compare two cells")
        _require_different("Study.compare", [frozenset(pair) for pair in self.compare], "remove one of them")
        names = [axis.name for axis in self.axes]
        for field in ("x", "lines"):
            if value := getattr(self, field):
                _require_known(f"Study.{field}", "axis", [value], names)
        if self.x:
            fix = "change either"
            require(self.x != self.lines, "Study.lines", self.lines, f"another axis than Study.x ({self.x!r})", fix)


def _require_different(what: str, values: Sequence[object], fix: str) -> None:
    require(len(set(values)) == len(values), what, values, "different", fix)


def _require_known(field: str, what: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raises ValueError if a name is not known; the message has the nearest one."""
    known = list(known)
    for name in names:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        meant = f"did you mean {near[0]!r}? " if near else ""
        if name not in known:
            require(False, f"{field}: the {what}", name, f"one of {known}", f"{meant}correct it")


def _require_metric(text: str) -> None:
    form = _METRIC.fullmatch(text)
    fix = "such as 'test/image_to_text_recall_at_5' or 'log/logit_bias'"
    if not form:
        require(False, "Study.metrics: the metric", text, "of the form SET/METRIC", fix)
    elif form[1] != LOG:
        require(form[2] in _KNOWN, "Study.metrics: the metric", text, f"SET/ and one of {', '.join(_KNOWN)}", fix)
