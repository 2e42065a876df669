"""Calibration of the sigmoid probabilities. All figures are computed from counts over pairs."""

import numpy as np

BINS = 15
"""Bins of equal width in probability, for the expected calibration error (Guo et al., arXiv 1706.04599, equation 3)."""
_STEPS, _EDGE = 32, 960
THRESHOLDS = np.arange(-_EDGE, _EDGE + 1) / _STEPS
"""Logits from -30 to 30; `figures` chooses a threshold among them."""
PRECISION = 0.9
NAMES = ("calibration_error", "brier_score", "threshold_at_precision_90", "recall_at_precision_90")
Array = np.ndarray


def sigmoid(logits: Array) -> Array:
    """The probabilities of logits of any size and shape, without overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logits))


class PairCounts:
    """Counts over (picture, text) pairs; takes 30 kB for any number of pairs."""

    def __init__(self) -> None:
        self.pairs = 0
        self._squares = 0.0
        self._count, self._probability, self._right = np.zeros(BINS), np.zeros(BINS), np.zeros(BINS)
        self._above, self._right_above = np.zeros(len(THRESHOLDS) + 1), np.zeros(len(THRESHOLDS) + 1)

    def add(self, logits: Array, right: Array) -> None:
        """Counts pairs; `logits`, float, and `right`, bool, have one shape. NaN counts as the worst possible answer."""
        logits, right = logits.ravel(), right.ravel()
        logits = np.where(np.isnan(logits), np.where(right, -np.inf, np.inf), logits)
        probability = sigmoid(logits)
        self.pairs += len(logits)
        self._squares += float(np.sum((probability - right) ** 2))
        place = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
        self._count += np.bincount(place, minlength=BINS)
        self._probability += np.bincount(place, probability, minlength=BINS)
        self._right += np.bincount(place[right], minlength=BINS)
        reached = np.clip(np.floor(logits * _STEPS) + _EDGE + 1, 0, len(THRESHOLDS)).astype(np.int64)
        self._above += np.bincount(reached, minlength=len(self._above))
        self._right_above += np.bincount(reached[right], minlength=len(self._above))

    def merge(self, other: "PairCounts") -> None:
        """Adds the counts of another PairCounts."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def figures(self) -> dict[str, float]:
        """Computes {name of NAMES: value}; NaN if no pair was counted or no threshold reaches the precision.

        calibration_error: mean over pairs of |share of right pairs - mean probability| in the pair's bin.
        brier_score: mean of (probability - right)^2.
        threshold_at_precision_90: the smallest of sigmoid(THRESHOLDS) at which at least 90% of the pairs with this
          probability or a higher one are right.
        recall_at_precision_90: the share of right pairs that reach this threshold.
        """
        if not self.pairs:
            return dict.fromkeys(NAMES, float("nan"))
        gap = float(np.sum(np.abs(self._right - self._probability)) / self.pairs)
        threshold, recall = float("nan"), float("nan")
        chosen = np.cumsum(self._above[::-1])[::-1][1:]
        right = np.cumsum(self._right_above[::-1])[::-1][1:]
        precise = np.flatnonzero((chosen > 0) & (right >= PRECISION * chosen))
        if len(precise):
            first = precise[0]
            threshold = float(sigmoid(THRESHOLDS[first]))
            recall = float(right[first] / np.sum(self._right_above))
        return dict(zip(NAMES, (gap, self._squares / self.pairs, threshold, recall), strict=True))
