"""What a model must reach to be blessed."""

import dataclasses

from models.evaluation.metrics import Confidence
from models.evaluation.rules import SLICED_BY, Rule
from models.settings.checks import require, settings_class


@settings_class("Gate")
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

    min_value: dict[str, float] = dataclasses.field(default_factory=lambda: {"image_to_text_recall_at_1": 0.1})
    max_drop: dict[str, float] = dataclasses.field(default_factory=dict)
    slice_by: tuple[str, ...] = ()
    confidence: float = Confidence.overall
    slice_confidence: float = Confidence.slices

    def __post_init__(self) -> None:
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
