"""Settings of the gate."""

import dataclasses

from models.evaluation import metrics, modality
from models.evaluation.metrics import Confidence
from models.evaluation.rules import SLICED_BY, Rule
from models.settings.checks import require, settings_class


@settings_class("Gate")
class GateSettings:
    """Metrics that a model must reach to be blessed and pushed.

    A rule is "metric" (of the eval split) or "set/metric". With " by KEY", the gate checks each value of the slice key
    by itself: 'coco/image_to_text_recall_at_1 by language'. The gate uses the confidence interval of a metric.

    Attributes:
      min_value: {rule: smallest value, a share in [0, 1]}. The whole interval must lie above it. Set it well above
        chance, which the report shows.
      max_drop: {rule: largest drop from the last blessed model, a share in [0, 1]}. The gate blocks a model if the
        whole interval of the change shows a larger drop. {} allows any drop.
      slice_by: slice keys by which the report shows metrics too. The gate checks slices only for rules with " by KEY".
        () adds none.
      confidence: confidence level of the intervals. The gate uses one end of an interval, so at 0.9 chance decides 1
        time in 20. Raise it if the gate blocks good models.
      slice_confidence: confidence level of the change in a slice. It is higher, because one of many slices often drops
        by chance.
      max_value: {rule: largest value} for metrics where lower is better: modality_gap, in [0, 2], and modality_probe,
        in [0, 1]. The whole interval must lie below it. {} sets none.
    """

    min_value: dict[str, float] = dataclasses.field(default_factory=lambda: {"image_to_text_recall_at_1": 0.1})
    max_drop: dict[str, float] = dataclasses.field(default_factory=dict)
    slice_by: tuple[str, ...] = ()
    confidence: float = Confidence.overall
    slice_confidence: float = Confidence.slices
    max_value: dict[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for field, known in (("min_value", metrics.SHARES), ("max_drop", metrics.SHARES), ("max_value", metrics.GAPS)):
            for text, value in getattr(self, field).items():
                try:
                    rule = Rule.parse(text, known)
                except ValueError as error:
                    raise ValueError(f"Gate.{field}: {error}") from error
                name, fix = f"Gate.{field}[{text!r}]", "set a share, not a percentage"
                largest = modality.LARGEST.get(rule.metric, 1)
                require(0 <= value <= largest, name, value, f"in [0, {largest:g}]", fix)
        fix = "name at least one metric, because every model would pass"
        require(bool(self.min_value), "Gate.min_value", self.min_value, "not empty", fix)
        for feature in self.slice_by:
            require(feature in SLICED_BY, "Gate.slice_by", feature, f"one of {', '.join(SLICED_BY)}", "correct it")
        for field in ("confidence", "slice_confidence"):
            value = getattr(self, field)
            require(0 < value < 1, f"Gate.{field}", value, "above 0 and below 1", f"try {Confidence.overall}")
