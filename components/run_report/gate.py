"""Reads the Evaluator's decision from its artifacts: every rule of the gate, and the metric that meets or breaks it."""

import dataclasses
import math
from collections.abc import Mapping

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from components.metrics import eval_config
from models import features
from models.evaluation import metrics

_Slice = tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Line:
    """A metric of a slice and its rules; a missing value or rule is None.

    Attributes:
      place: the evaluation set and its slice, such as "eval" or "coco, language = de".
      low, high: ends of the value's interval.
      change_low, change_high: ends of the interval of the change against the last blessed model.
    """

    place: str
    metric: str
    value: float
    low: float
    high: float
    chance: float
    min_value: float | None = None
    last_blessed: float | None = None
    change_low: float | None = None
    change_high: float | None = None
    max_drop: float | None = None
    max_value: float | None = None

    @property
    def failures(self) -> list[str]:
        """The reasons why this metric blocks the model; empty if it does not."""
        what = self.metric if self.place == features.OWN_SET else f"{self.metric} of {self.place}"
        reasons = []
        if self.min_value is not None and not self.low >= self.min_value:
            reasons.append(
                f"{what} is {self.value:.3f} ({self.low:.3f} to {self.high:.3f}), but the whole interval must be at "
                f"least {self.min_value:.3f}"
            )
        if self.max_value is not None and not self.high <= self.max_value:
            reasons.append(
                f"{what} is {self.value:.3f} ({self.low:.3f} to {self.high:.3f}), but the whole interval must be at "
                f"most {self.max_value:.3f}"
            )
        if self.max_drop is None or self.last_blessed is None or self.change_high is None:
            return reasons
        if not self.change_high >= -self.max_drop:
            reasons.append(
                f"{what} changed by {self.value - self.last_blessed:+.3f} ({self.change_low:+.3f} to "
                f"{self.change_high:+.3f}) against the last blessed model ({self.last_blessed:.3f}), but may fall "
                f"by at most {self.max_drop:.3f}"
            )
        return reasons


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The Evaluator's result.

    Attributes:
      slices: {set or slice: {metric: value}} of the candidate; the eval split comes first.
      lines: every metric of every set, and those metrics of slices that have a rule.
      too_few: messages about sets that are too small for their thresholds.
      confidence: confidence of the intervals.
    """

    slices: dict[str, dict[str, float]]
    lines: list[Line]
    too_few: list[str]
    confidence: metrics.Confidence

    @property
    def failures(self) -> list[str]:
        """All reasons why the gate blocks the model; empty if it does not."""
        return self.too_few + [reason for line in self.lines for reason in line.failures]


def read(evaluation_path: str) -> Evaluation:
    """Reads TFMA's output folder."""
    # TFMA drops the name of the model if there is only one.
    config = tfma.load_eval_result(evaluation_path).config
    has_baseline = any(spec.is_baseline for spec in config.model_specs)
    slices = _by_slice(tfma.load_eval_result(evaluation_path, model_name=eval_config.CANDIDATE if has_baseline else ""))
    baseline: dict[_Slice, dict[str, float]] = {}
    if has_baseline:
        baseline = _by_slice(tfma.load_eval_result(evaluation_path, model_name=eval_config.BASELINE))
    thresholds = config.metrics_specs[0].per_slice_thresholds
    lines, too_few = [], []
    for key, values in slices.items():
        by_chance = metrics.chance(int(values[metrics.PICTURES]), int(values[metrics.CLASSES]), values)
        for metric in metrics.BOUNDED:
            line = _line(key, metric, values, by_chance[metric], baseline.get(key, {}).get(metric), thresholds)
            asked = any(rule is not None for rule in (line.min_value, line.max_drop, line.max_value))
            if asked or (len(key) == 1 and not math.isnan(line.value)):
                lines.append(line)
        too_few += _too_few(key, values, by_chance, thresholds)
    named = {_name(key): values for key, values in slices.items()}
    return Evaluation(named, lines, too_few, eval_config.confidence_of(config))


def _too_few(
    key: _Slice,
    values: Mapping[str, float],
    by_chance: Mapping[str, float],
    thresholds: Mapping[str, config_pb2.PerSliceMetricThresholds],
) -> list[str]:
    """Messages if a set or slice has too few pictures or classes for its smallest values."""
    messages = []
    per_right = values.get(metrics.CLASSES_PER_RIGHT, values[metrics.CLASSES])  # older results do not have it
    several = "" if per_right == values[metrics.CLASSES] else " for each right one"
    counted = (
        (metrics.PICTURES, "pictures", "recall"),
        (metrics.CLASSES_PER_RIGHT, f"zero-shot classes{several}", "zero_shot"),
    )
    for count, what, family in counted:
        needed = _rule(thresholds, count, key)
        if not needed or values[count] >= needed.value_threshold.lower_bound.value:
            continue
        rules = [
            f"{metric} has a chance level of {by_chance[metric]:.3f} and a smallest value of "
            f"{rule.value_threshold.lower_bound.value:.3f}"
            for metric in metrics.SHARES
            if family in metric and (rule := _rule(thresholds, f"{metric}_low", key))
        ]
        least = f"{needed.value_threshold.lower_bound.value:.0f}"
        own = ", give the eval split a larger share (ImageTextGen.eval_share)" if _name(key) == features.OWN_SET else ""
        messages.append(
            f"{_name(key)} has {values[count]:.6g} {what}, but the gate needs {least} or more, because an untrained "
            f"model could pass: {'; '.join(rules)}. Bring more rows{own}, or raise Gate.min_value"
        )
    return messages


def _line(
    key: _Slice,
    metric: str,
    values: Mapping[str, float],
    by_chance: float,
    last_blessed: float | None,
    thresholds: Mapping[str, config_pb2.PerSliceMetricThresholds],
) -> Line:
    bound = f"{metric}_{'slice_' if len(key) > 1 else ''}change_high"
    at_least, drop = _rule(thresholds, f"{metric}_low", key), _rule(thresholds, bound, key)
    at_most = _rule(thresholds, f"{metric}_high", key)
    compared = last_blessed is not None
    return Line(
        _name(key),
        metric,
        values[metric],
        values[f"{metric}_low"],
        values[f"{metric}_high"],
        by_chance,
        at_least.value_threshold.lower_bound.value if at_least else None,
        last_blessed,
        values[f"{metric}_change_low"] if compared else None,
        values[bound] if compared else None,
        -drop.change_threshold.absolute.value if drop and drop.HasField("change_threshold") else None,
        at_most.value_threshold.upper_bound.value if at_most else None,
    )


def _rule(
    thresholds: Mapping[str, config_pb2.PerSliceMetricThresholds], metric: str, key: _Slice
) -> config_pb2.MetricThreshold | None:
    """Returns the threshold that applies to this metric of this slice, or None."""
    given = dict(key)
    for one in thresholds[metric].thresholds if metric in thresholds else ():
        for spec in one.slicing_specs:
            named = {*spec.feature_keys, *spec.feature_values}
            if named == set(given) and all(given[name] == value for name, value in spec.feature_values.items()):
                return one.threshold
    return None


def _by_slice(result: tfma.EvalResult) -> dict[_Slice, dict[str, float]]:
    """Returns the metrics by slice: the eval split first, the other sets by name, each set before its slices."""
    slices: dict[_Slice, dict[str, float]] = {}
    for key, outputs in result.slicing_metrics:
        metrics_here: dict[str, float] = {}
        for by_sub_key in outputs.values():
            for values in by_sub_key.values():
                for metric, value in values.items():
                    metrics_here[metric] = float(value.get("doubleValue", math.nan))
        slices[tuple((slice_key, str(value)) for slice_key, value in key)] = metrics_here
    return dict(sorted(slices.items(), key=lambda item: _order(item[0])))


def _order(key: _Slice) -> tuple[bool, str, int, _Slice]:
    name = dict(key)[features.EVALUATION_SET]
    return name != features.OWN_SET, name, len(key), key


def _name(key: _Slice) -> str:
    rest = [f"{slice_key} = {value or 'none'}" for slice_key, value in key if slice_key != features.EVALUATION_SET]
    return ", ".join([dict(key)[features.EVALUATION_SET], *rest])
