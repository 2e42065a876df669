"""Intervals by the bootstrap (Efron, 1979) over pictures: what rests on one picture is drawn together.

Each picture counts Poisson(1) times in a resample, which is the multinomial bootstrap without a pass over the whole.
"""

import statistics
from collections.abc import Callable, Mapping

import numpy as np

RESAMPLES = 1000
_BLOCK = 1 << 22  # weights held at once
Array = np.ndarray
Statistic = Callable[[Array], Array]
"""How often each picture counts, float64 [B, P] -> the figure in each of these resamples, float64 [B]."""


def share(hits: Array, picture: Array, pictures: int) -> Statistic:
    """The share of hits, bool [N], each of which belongs to one of `pictures`, int [N]."""
    right = np.bincount(picture, hits, minlength=pictures)
    asked = np.bincount(picture, minlength=pictures).astype(np.float64)
    return lambda weights: _ratio(weights @ right, weights @ asked)


def mean_over_classes(hits: Array, classes: Array, picture: Array) -> Statistic:
    """The mean over classes, int [N], of the share of hits in each that occurs."""
    order = np.argsort(classes, kind="stable")
    _, starts = np.unique(classes[order], return_index=True)
    hits, picture = hits[order].astype(np.float64), picture[order]

    def statistic(weights: Array) -> Array:
        counted = weights[:, picture]
        asked = np.add.reduceat(counted, starts, axis=1)
        return np.nanmean(_ratio(np.add.reduceat(counted * hits, starts, axis=1), asked), axis=1)

    return statistic


def resample(figures: Mapping[str, Statistic], pictures: int, seed: int = 0) -> dict[str, Array]:
    """{name: float64 [RESAMPLES]}, all of the same resamples."""
    random = np.random.default_rng(seed)
    block = max(1, min(RESAMPLES, _BLOCK // max(1, pictures)))
    drawn: dict[str, list[Array]] = {name: [] for name in figures}
    for start in range(0, RESAMPLES, block):
        weights = random.poisson(1.0, [min(block, RESAMPLES - start), pictures]).astype(np.float64)
        for name, figure in figures.items():
            drawn[name].append(figure(weights))
    return {name: np.concatenate(parts) for name, parts in drawn.items()}


def margin(samples: Array, pictures: int, confidence: float) -> float:
    """Half the width of the two-sided normal interval; the deviation counts as one picture's worth at least.

    Without that floor a handful of pictures that all agree would be certain.
    """
    known = samples[np.isfinite(samples)]
    deviation = max(float(np.std(known)) if len(known) else 0.0, 1.0 / max(1, pictures))
    return statistics.NormalDist().inv_cdf(0.5 + confidence / 2) * deviation


def _ratio(right: Array, asked: Array) -> Array:
    return np.divide(right, asked, out=np.full_like(right, np.nan), where=asked > 0)
