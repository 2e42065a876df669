"""What the Evaluator decided, read back from its artifacts: every threshold, with the value that met it or did not."""

import dataclasses
import math
from collections.abc import Mapping

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from components.metrics import eval_config
from models import retrieval

OVERALL = "all rows"


@dataclasses.dataclass(frozen=True)
class Line:
    """One metric of the gate; None where there is no such value or rule."""

    metric: str
    value: float
    chance: float
    min_value: float | None
    last_blessed: float | None
    max_drop: float | None

    @property
    def failures(self) -> list[str]:
        """Why this metric blocks the model; empty where it does not."""
        reasons = []
        if self.min_value is not None and not self.value >= self.min_value:
            reasons.append(f"{self.metric} is {self.value:.3f}, but must be at least {self.min_value:.3f}")
        if self.max_drop is not None and self.last_blessed is not None:
            change = self.value - self.last_blessed
            if not change >= -self.max_drop:
                reasons.append(
                    f"{self.metric} changed by {change:+.3f} against the last blessed model ({self.last_blessed:.3f}), "
                    f"but may fall by at most {self.max_drop:.3f}"
                )
        return reasons


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The Evaluator's outcome.

    Attributes:
      slices: {slice: {metric: value}} of the candidate; OVERALL comes first.
      lines: the overall metrics, with thresholds and the last blessed model.
      too_few: why the eval split is too small for the thresholds to mean anything; empty where it is not.
    """

    slices: dict[str, dict[str, float]]
    lines: list[Line]
    too_few: list[str]

    @property
    def failures(self) -> list[str]:
        """Every reason why the gate blocks the model."""
        return self.too_few + [reason for line in self.lines for reason in line.failures]


def read(evaluation_path: str) -> Evaluation:
    """Reads TFMA's output folder."""
    # TFMA drops the models' names where there is only one.
    config = tfma.load_eval_result(evaluation_path).config
    has_baseline = any(spec.is_baseline for spec in config.model_specs)
    slices = _by_slice(tfma.load_eval_result(evaluation_path, model_name=eval_config.CANDIDATE if has_baseline else ""))
    baseline: dict[str, float] = {}
    if has_baseline:
        baseline = _by_slice(tfma.load_eval_result(evaluation_path, model_name=eval_config.BASELINE))[OVERALL]
    overall = slices[OVERALL]
    by_chance = retrieval.chance(int(overall[eval_config.PICTURES]), int(overall["zero_shot_classes"]))
    thresholds = {
        metric: rules.thresholds[0].threshold for metric, rules in config.metrics_specs[0].per_slice_thresholds.items()
    }
    lines = [
        _line(metric, overall[metric], by_chance[metric], baseline.get(metric), thresholds)
        for metric in retrieval.METRIC_NAMES
        if metric in by_chance
    ]
    min_value = {line.metric: line.min_value for line in lines if line.min_value is not None}
    too_few = [
        f"the eval split has {overall[name]:.0f} {what}, but Gate.min_value lies well above chance from {needed} on"
        for name, needed in eval_config.needed_counts(min_value).items()
        for what in [{eval_config.PICTURES: "pictures", eval_config.CLASSES: "zero-shot classes"}[name]]
        if overall[name] < needed
    ]
    return Evaluation(slices, lines, too_few)


def _line(
    metric: str,
    value: float,
    by_chance: float,
    last_blessed: float | None,
    thresholds: Mapping[str, config_pb2.MetricThreshold],
) -> Line:
    threshold = thresholds.get(metric, config_pb2.MetricThreshold())
    at_least = threshold.value_threshold.lower_bound.value if threshold.HasField("value_threshold") else None
    drop = -threshold.change_threshold.absolute.value if threshold.HasField("change_threshold") else None
    return Line(metric, value, by_chance, at_least, last_blessed, drop)


def _by_slice(result: tfma.EvalResult) -> dict[str, dict[str, float]]:
    slices: dict[str, dict[str, float]] = {}
    for key, outputs in sorted(result.slicing_metrics, key=lambda item: item[0]):
        name = ", ".join(f"{feature} = {value or 'none'}" for feature, value in key) or OVERALL
        metrics: dict[str, float] = {}
        for by_sub_key in outputs.values():
            for values in by_sub_key.values():
                for metric, value in values.items():
                    metrics[metric] = float(value.get("doubleValue", math.nan))
        slices[name] = metrics
    return slices
