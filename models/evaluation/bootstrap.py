"""Confidence intervals by bootstrap over pictures (Efron, 1979): all rows of a picture are drawn together.

A resample counts each picture Poisson(1) times. This approximates the multinomial bootstrap, and draws the count of
each picture independently.
"""

import statistics
from collections.abc import Callable, Mapping

import numpy as np

RESAMPLES = 1000
_BLOCK = 1 << 22  # weights in memory at once
Array = np.ndarray
Statistic = Callable[[Array], Array]
"""float64 [B, P], how often each of P pictures counts in each of B resamples -> float64 [B], each resample's figure."""


def share(hits: Array, picture: Array, pictures: int) -> Statistic:
    """The mean of `hits`, bool or float [N]. `picture`, int [N], has the picture of each row, below `pictures`."""
    right = np.bincount(picture, hits, minlength=pictures)
    asked = np.bincount(picture, minlength=pictures).astype(np.float64)
    return lambda weights: _ratio(weights @ right, weights @ asked)


def mean_over_classes(hits: Array, classes: Array, picture: Array) -> Statistic:
    """The mean, over the classes that occur, of the share of `hits`; `classes` and `picture` are int [N]."""
    order = np.argsort(classes, kind="stable")
    _, starts = np.unique(classes[order], return_index=True)
    hits, picture = hits[order].astype(np.float64), picture[order]

    def statistic(weights: Array) -> Array:
        counted = weights[:, picture]
        asked = np.add.reduceat(counted, starts, axis=1)
        shares = _ratio(np.add.reduceat(counted * hits, starts, axis=1), asked)
        return _ratio(np.nansum(shares, axis=1), np.sum(asked > 0, axis=1).astype(np.float64))

    return statistic


def resample(figures: Mapping[str, Statistic], pictures: int, seed: int = 0) -> dict[str, Array]:
    """Computes {name: float64 [RESAMPLES]}; all figures use the same resamples."""
    random = np.random.default_rng(seed)
    block = max(1, min(RESAMPLES, _BLOCK // max(1, pictures)))
    drawn: dict[str, list[Array]] = {name: [] for name in figures}
    for start in range(0, RESAMPLES, block):
        weights = random.poisson(1.0, [min(block, RESAMPLES - start), pictures]).astype(np.float64)
        for name, figure in figures.items():
            drawn[name].append(figure(weights))
    return {name: np.concatenate(parts) for name, parts in drawn.items()}


def margin(samples: Array, pictures: int, confidence: float) -> float:
    """Half the width of the two-sided normal interval.

    The standard deviation is at least 1 / pictures: otherwise, a few pictures that all agree would give width 0.
    """
    known = samples[np.isfinite(samples)]
    deviation = max(float(np.std(known)) if len(known) else 0.0, 1.0 / max(1, pictures))
    return statistics.NormalDist().inv_cdf(0.5 + confidence / 2) * deviation


def _ratio(right: Array, asked: Array) -> Array:
    return np.divide(right, asked, out=np.full_like(right, np.nan), where=asked > 0)
