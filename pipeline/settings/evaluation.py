"""What gin can tune about evaluation: the sets, the gate, and what the published model brings along."""

import dataclasses

from beam import sources
from models import features
from models.evaluation.metrics import Confidence
from models.evaluation.rules import SLICED_BY, Rule
from models.serving import compression
from models.settings.checks import require, require_types
from models.settings.configuration import configurable


def _require_templates(name: str, templates: tuple[str, ...]) -> None:
    require(bool(templates), name, templates, "not empty", "use ('{}',) for the label by itself")
    for template in templates:
        require("{}" in template, name, template, "a text with {} where the label goes", "correct it")


def _require_labels(name: str, labels: tuple[str, ...]) -> None:
    require(all(labels) and len(set(labels)) == len(labels), name, labels, "texts, each of them once", "correct it")


@configurable("EvaluationSet")
@dataclasses.dataclass(frozen=True)
class EvaluationSetSettings:
    """A set of rows that every model is evaluated on; the metrics of each set stand by themselves.

    Attributes:
      name: in the gate, the report and signatures; "eval" is always the pipeline's own eval split.
      source: where rows come from, such as @TfdsSource(); or
      examples: a folder of Examples that `python -m pipeline.build` or a pipeline has written. With neither it is the
        eval split, asked in another way.
      classes: what zero-shot classification chooses among, in this order; () takes the rows' class names.
      templates: texts with {} for the class; its embedding is the mean over them.
      all_captions: ask every caption of a picture (COCO's protocol), not its first alone.
      retrieval: look for captions and pictures; switch it off for sets of classes.
    """

    name: str = features.OWN_SET
    source: sources.Source | None = None
    examples: str = ""
    classes: tuple[str, ...] = ()
    templates: tuple[str, ...] = ("{}",)
    all_captions: bool = True
    retrieval: bool = True

    def __post_init__(self) -> None:
        require_types(self)
        require(self.name.isidentifier(), "EvaluationSet.name", self.name, "letters, digits and _", "rename it")
        given = [name for name in ("source", "examples") if getattr(self, name)]
        rule, fix = "one of source and examples, or none", "set one of them; the name 'eval' is for the own eval split"
        most = 0 if self.name == features.OWN_SET else 1
        require(len(given) <= most, f"EvaluationSet {self.name!r}", given, rule, fix)
        _require_templates("EvaluationSet.templates", self.templates)
        _require_labels("EvaluationSet.classes", self.classes)


@configurable("LabelSet")
@dataclasses.dataclass(frozen=True)
class LabelSetSettings:
    """Labels that the published model classifies among, by the signature classify_NAME.

    Attributes:
      name: of the set.
      labels: texts.
      templates: texts with {} for the label; its embedding is the mean over them.
    """

    name: str = ""
    labels: tuple[str, ...] = ()
    templates: tuple[str, ...] = ("{}",)

    def __post_init__(self) -> None:
        require_types(self)
        require(self.name.isidentifier(), "LabelSet.name", self.name, "letters, digits and _", "name it")
        require(bool(self.labels), "LabelSet.labels", self.labels, "not empty", "name some")
        _require_labels("LabelSet.labels", self.labels)
        _require_templates("LabelSet.templates", self.templates)


@configurable("Packaging")
@dataclasses.dataclass(frozen=True)
class PackagingSettings:
    """What the model that is evaluated and published has beside the trained weights.

    Attributes:
      label_sets: (@a/LabelSet(),): beside those of the evaluation sets that have classes.
      weights: "float32", "bfloat16" or "int8": fewer bits for the matrices, whose cost the report shows.
    """

    label_sets: tuple[LabelSetSettings, ...] = ()
    weights: str = "float32"

    def __post_init__(self) -> None:
        require_types(self)
        kinds = compression.DTYPES
        require(self.weights in kinds, "Packaging.weights", self.weights, f"one of {', '.join(kinds)}", "correct it")


@configurable("Gate")
@dataclasses.dataclass(frozen=True)
class GateSettings:
    """What a model must reach to be blessed and pushed.

    A rule is "metric", of the eval split, "set/metric", or either with " by feature", which holds for each value of the
    feature: 'coco/image_to_text_recall_at_1 by language'. Metrics have intervals, which the gate takes into account.

    Attributes:
      min_value: {rule: smallest value}; the whole interval must lie above it.
      max_drop: {rule: largest fall against the last blessed model}; blocks where the whole interval of the change lies
        below it, so where the fall is larger beyond the noise of the set.
      slice_by: features that metrics are also reported by.
      confidence: of the intervals, of which the gate asks about one end: at .9 chance decides 1 time in 20.
      slice_confidence: of the change in a slice: many slices are looked at, and one of them always falls by chance.
    """

    min_value: dict[str, float] = dataclasses.field(default_factory=dict)
    max_drop: dict[str, float] = dataclasses.field(default_factory=dict)
    slice_by: tuple[str, ...] = ()
    confidence: float = Confidence.overall
    slice_confidence: float = Confidence.slices

    def __post_init__(self) -> None:
        require_types(self)
        for field in ("min_value", "max_drop"):
            for text, value in getattr(self, field).items():
                try:
                    Rule.parse(text)
                except ValueError as error:
                    raise ValueError(f"Gate.{field}: {error}") from error
                name, fix = f"Gate.{field}[{text!r}]", "metrics are shares, not percent"
                require(0 <= value <= 1, name, value, "in [0, 1]", fix)
        fix = "name at least one metric, or every model would pass"
        require(bool(self.min_value), "Gate.min_value", self.min_value, "not empty", fix)
        for feature in self.slice_by:
            require(feature in SLICED_BY, "Gate.slice_by", feature, f"one of {', '.join(SLICED_BY)}", "correct it")
        for field in ("confidence", "slice_confidence"):
            value = getattr(self, field)
            require(0 < value < 1, f"Gate.{field}", value, "above 0 and below 1", f"{Confidence.overall} is usual")
