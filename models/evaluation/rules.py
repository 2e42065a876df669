"""Keys of the gate's thresholds: a metric of a whole evaluation set, or of each slice of it."""

import dataclasses
import re

from models import features
from models.evaluation import metrics

_FORM = re.compile(r"(?:(?P<set>\w+)/)?(?P<metric>\w+)(?: by (?P<feature>\w+))?")
SLICED_BY = tuple(name for name in features.TEXT if name not in (features.KEY, features.CAPTION))


@dataclasses.dataclass(frozen=True)
class Rule:
    """A key of Gate.min_value and Gate.max_drop.

    Attributes:
      metric: one of metrics.SHARES.
      evaluation_set: name of the set.
      feature: the slice key, a stored feature. The gate checks each of its values by itself. "" checks the whole set.
    """

    metric: str
    evaluation_set: str = features.OWN_SET
    feature: str = ""

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """Reads "metric", "set/metric", "metric by feature" or "set/metric by feature".

        Raises:
          ValueError: the text has another form, or the metric or feature is unknown.
        """
        form = _FORM.fullmatch(text)
        if not form:
            raise ValueError(f"{text!r} must be of the form 'metric', 'set/metric' or 'set/metric by feature'")
        metric, feature = form["metric"], form["feature"] or ""
        if metric not in metrics.SHARES:
            raise ValueError(f"{metric!r} is no metric; use one of {', '.join(metrics.SHARES)}")
        if feature and feature not in SLICED_BY:
            raise ValueError(f"{feature!r} is no slice key; use one of {', '.join(SLICED_BY)}")
        return cls(metric, form["set"] or features.OWN_SET, feature)
