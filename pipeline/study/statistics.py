"""Means, differences and their intervals over seeds.

All cells share one standard deviation, which is pooled over them: a cell has few seeds, and all have the same noise
unless a study says otherwise. The intervals are Student's t. Differences have Holm's correction for their number. scipy
has Student's t. statsmodels has Holm's p-values, but not the intervals that go with them, so both are here.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import special

SHOWN, CONTRARY, NOT_DECIDED = "shown", "contrary", "not decided"


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate; the ends are NaN where no interval can be given.

    Attributes:
      value: the estimate.
      low, high: ends of the interval.
    """

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Difference(Interval):
    """The difference of two cells.

    Attributes:
      p_value: two-sided, with Holm's correction.
    """

    p_value: float

    @property
    def verdict(self) -> str:
        """What the interval says of the claim that the difference is above 0."""
        if self.low > 0:
            return SHOWN
        return CONTRARY if self.high < 0 else NOT_DECIDED


@dataclasses.dataclass(frozen=True)
class Noise:
    """The noise of one run.

    Attributes:
      deviation: standard deviation of a run about the mean of its cell.
      freedom: degrees of freedom: runs less cells. 0 gives no interval.
    """

    deviation: float
    freedom: int

    def margin(self, share: float, error: float) -> float:
        """Half the width of a two-sided t interval; NaN without degrees of freedom.

        Args:
          share: variance of the estimate as a multiple of that of one run, such as 1 / runs.
          error: 1 - confidence.
        """
        if not self.freedom:
            return math.nan
        return float(special.stdtrit(self.freedom, 1 - error / 2)) * self.deviation * math.sqrt(share)

    def p_value(self, difference: float, share: float) -> float:
        """Two-sided p-value of a difference, which is 0 under the null hypothesis; 1 without degrees of freedom."""
        if not self.freedom:
            return 1.0
        if not self.deviation:
            return float(difference == 0)
        return float(2 * special.stdtr(self.freedom, -abs(difference) / (self.deviation * math.sqrt(share))))


def pooled(cells: Mapping[str, Sequence[float]]) -> Noise:
    """The noise of all cells: {cell: values of its runs}."""
    squares = sum(float(np.sum((np.asarray(values) - np.mean(values)) ** 2)) for values in cells.values())
    freedom = sum(len(values) for values in cells.values()) - len(cells)
    return Noise(math.sqrt(squares / freedom) if freedom else math.nan, freedom)


def means(cells: Mapping[str, Sequence[float]], confidence: float) -> dict[str, Interval]:
    """{cell: mean of its runs, with its interval}."""
    noise = pooled(cells)
    found = {}
    for name, values in cells.items():
        mean, margin = float(np.mean(values)), noise.margin(1 / len(values), 1 - confidence)
        found[name] = Interval(mean, mean - margin, mean + margin)
    return found


def differences(
    cells: Mapping[str, Sequence[float]], pairs: Sequence[tuple[str, str]], confidence: float
) -> list[Difference]:
    """Mean of the first less mean of the second cell of each pair; NaN if `cells` lacks one of them.

    The intervals are Holm's: an interval leaves out 0 if and only if Holm's procedure rejects the null hypothesis of
    its pair. The probability that any true null hypothesis is rejected is at most 1 - confidence (Holm, 1979). A pair
    without a difference counts as one that is not rejected, so that a missing cell makes no other comparison easier.
    """
    noise, estimates = pooled(cells), []
    for pair in pairs:
        both = [cells.get(name) for name in pair]
        if both[0] is None or both[1] is None:
            estimates.append((math.nan, math.nan, 1.0))
            continue
        difference = float(np.mean(both[0]) - np.mean(both[1]))
        share = 1 / len(both[0]) + 1 / len(both[1])
        estimates.append((difference, share, noise.p_value(difference, share)))
    p_values = [p_value for _, _, p_value in estimates]
    errors, adjusted = holm_errors(p_values, 1 - confidence), holm_adjusted(p_values)
    found = []
    for (difference, share, _), error, p_value in zip(estimates, errors, adjusted, strict=True):
        margin = noise.margin(share, error)
        found.append(Difference(difference, difference - margin, difference + margin, p_value))
    return found


def holm_errors(p_values: Sequence[float], error: float) -> list[float]:
    """The error that each test may make alone, so that testing each p-value against it is Holm's procedure.

    Holm tests the smallest of n p-values against error / n, the next against error / (n - 1), and so on. It stops at
    the first that is not below; all that follow are not rejected either, and keep the error of that one.
    """
    errors, allowed, stopped = [error] * len(p_values), error, False
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        if not stopped:
            allowed = error / (len(p_values) - rank)
            stopped = p_values[place] > allowed
        errors[place] = allowed
    return errors


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values: the smallest error at which Holm's procedure rejects each null hypothesis."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted
