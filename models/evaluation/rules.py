"""Keys of the gate's thresholds: a metric of a whole evaluation set, or of each slice of it."""

import dataclasses
import re
from collections.abc import Sequence

from models import features
from models.evaluation import metrics

_FORM = re.compile(r"(?:(?P<set>\w+)/)?(?P<metric>\w+)(?: by (?P<feature>\w+))?")
SLICED_BY = (*(name for name in features.TEXT if name not in (features.KEY, features.CAPTION)), features.CLASS_NAMES)


@dataclasses.dataclass(frozen=True)
class Rule:
    """A key of Gate.min_value, Gate.max_drop and Gate.max_value.

    Attributes:
      metric: one of metrics.BOUNDED.
      evaluation_set: name of the set.
      feature: the slice key, a stored feature. The gate checks each of its values by itself. "" checks the whole set. A
        row with several values, such as class_names, counts in the slice of each.
    """

    metric: str
    evaluation_set: str = features.OWN_SET
    feature: str = ""

    @classmethod
    def parse(cls, text: str, known: Sequence[str] = metrics.SHARES) -> "Rule":
        """Reads "metric", "set/metric", "metric by feature" or "set/metric by feature"; the metric is one of `known`.

        Raises:
          ValueError: the text has another form, or the metric or feature is unknown.
        """
        form = _FORM.fullmatch(text)
        if not form:
            raise ValueError(f"{text!r} must be of the form 'metric', 'set/metric' or 'set/metric by feature'")
        metric, feature = form["metric"], form["feature"] or ""
        if metric in metrics.BOUNDED and metric not in known:
            better, field = ("lower", "max_value") if metric in metrics.GAPS else ("higher", "min_value")
            raise ValueError(f"{metric!r} is better if it is {better}; set it in Gate.{field}")
        if metric not in known:
            raise ValueError(f"{metric!r} is no metric; use one of {', '.join(known)}")
        if feature and feature not in SLICED_BY:
            raise ValueError(f"{feature!r} is no slice key; use one of {', '.join(SLICED_BY)}")
        return cls(metric, form["set"] or features.OWN_SET, feature)
