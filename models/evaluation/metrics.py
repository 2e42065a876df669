"""All metrics of an evaluation set, or of a slice of it, by name."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from models.evaluation import bootstrap, calibration, keywords, modality, pointing, retrieval
from models.evaluation.calibration import PairCounts
from models.evaluation.keywords import Keywords
from models.evaluation.pointing import Places

ACCURACIES = ("zero_shot_accuracy", "zero_shot_top_5_accuracy", "zero_shot_mean_per_class_accuracy")
CHANCES = {name: f"{name}_chance" for name in (*pointing.NAMES, *keywords.NAMES)}
"""{metric: name of its value by chance} of metrics whose chance depends on the rows, and so is measured, too."""
SHARES = (*retrieval.RECALLS, *ACCURACIES, *CHANCES)
"""Metrics in [0, 1], where higher is better. Each has an interval, and the gate can set a smallest value."""
GAPS = modality.NAMES
"""Metrics where lower is better. Each has an interval, and the gate can set a largest value."""
BOUNDED = (*SHARES, *GAPS)
CALIBRATIONS = tuple(f"{pairs}_{name}" for pairs in ("caption", "class") for name in calibration.NAMES)
PICTURES, CLASSES, RIGHT_CLASSES = "pictures", "zero_shot_classes", "zero_shot_right_classes"
CLASSES_PER_RIGHT = "zero_shot_classes_per_right_class"
"""1 / chance of zero-shot accuracy."""
NAMES = (
    *(name + end for name in BOUNDED for end in ("", "_low", "_high")),
    *(name + end for name in BOUNDED for end in ("_change", "_change_low", "_change_high", "_slice_change_high")),
    *CALIBRATIONS,
    *CHANCES.values(),
    PICTURES,
    CLASSES,
    RIGHT_CLASSES,
    CLASSES_PER_RIGHT,
)
_NOT_COMPARABLE = {"_change_low": -1.0, "_change_high": 1.0, "_slice_change_high": 1.0}
Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Rows:
    """The outputs of a model for rows.

    Attributes:
      image, text: float [N, D], unit norm.
      caption, picture: bytes [N]; the arguments `captions` and `pictures` of `retrieval.Pairs.of`.
      class_index: int [N], the class of each row, or the first of several right ones; -1 for none.
      class_rank: int [N], the number of wrong classes that score at least as high as the best right one.
      classes: the number of classes to choose from.
      class_counts: counts over (picture, class) pairs.
      scale, bias: logit = scale * (image . text) + bias.
      places: where the model looks; None if it was not asked.
      keywords: keywords of the pictures; None if the model has no signature `keywords`.
      right_classes: int [N], the number of right classes of each row. None stands for one in each row with a class.
      retrieves: whether to measure retrieval.
      calibrates: whether to count all (picture, caption) pairs for calibration; this takes most of the time.
    """

    image: Array
    text: Array
    caption: Array
    picture: Array
    class_index: Array
    class_rank: Array
    classes: int
    class_counts: PairCounts
    scale: float
    bias: float
    places: Places | None = None
    keywords: Keywords | None = None
    right_classes: Array | None = None
    retrieves: bool = True
    calibrates: bool = True


@dataclasses.dataclass(frozen=True)
class Confidence:
    """Confidence levels of the intervals.

    A gate uses only one end of an interval, so it errs half as often: 1 time in 20 at .9.

    Attributes:
      overall: for a whole evaluation set.
      slices: for the change in a slice; higher, since one of many slices may fall by chance.
    """

    overall: float = 0.90
    slices: float = 0.999


def measure(candidate: Rows, baseline: Rows | None = None, confidence: Confidence | None = None) -> dict[str, float]:
    """Computes every metric of NAMES; a metric is NaN if no row can be measured.

    M_low and M_high bound the metric M. M_change is M of the candidate minus M of the baseline, on the same rows.
    M_change_low and M_change_high bound the change; both models share their resamples. M_slice_change_high is the upper
    bound at the confidence of slices. If the baseline was made for other classes, the change of an accuracy is NaN, and
    its bounds are -1 and 1.
    """
    confidence = confidence or Confidence()
    names, picture = np.unique(candidate.picture, return_inverse=True)
    count = len(names)
    figures, others = _figures(candidate, picture, names)
    before = _figures(dataclasses.replace(baseline, calibrates=False), picture, names)[0] if baseline else {}
    values = _at_once(figures, count)
    values_before = _at_once(before, count)
    samples = bootstrap.resample(figures, count)
    samples_before = bootstrap.resample(before, count)
    metrics = dict.fromkeys(NAMES, float("nan"))
    for name, value in values.items():
        margin = bootstrap.margin(samples[name], count, confidence.overall)
        largest = modality.LARGEST.get(name, 1.0)
        metrics |= {name: value, f"{name}_low": max(0.0, value - margin), f"{name}_high": min(largest, value + margin)}
        if baseline and name in ACCURACIES and not _same_classes(candidate, baseline):
            metrics |= {f"{name}{end}": bound for end, bound in _NOT_COMPARABLE.items()}
        elif name in before:
            change, changes = value - values_before[name], samples[name] - samples_before[name]
            margin = bootstrap.margin(changes, count, confidence.overall)
            metrics |= {f"{name}_change": change, f"{name}_change_low": change - margin}
            metrics[f"{name}_change_high"] = change + margin
            metrics[f"{name}_slice_change_high"] = change + bootstrap.margin(changes, count, confidence.slices)
    right = _right_on_average(candidate)
    others |= {RIGHT_CLASSES: right, CLASSES_PER_RIGHT: candidate.classes / (right if right > 0 else 1.0)}
    return {**metrics, **others, PICTURES: float(count), CLASSES: float(candidate.classes)}


def chance(pictures: int, classes: int, measured: Mapping[str, float] | None = None) -> dict[str, float]:
    """Expected scores of random embeddings, for `pictures` with equally many distinct captions each, and `classes`.

    For image to text this is an upper bound; it is exact for one caption a picture. `measured` has the values of
    CHANCES and of RIGHT_CLASSES; with several right classes, the chance of top 5 is an upper bound. For GAPS it is the
    value of no gap.
    """
    nan = float("nan")
    by_chance = {
        name: min(1.0, int(name.rsplit("_", 1)[1]) / pictures) if pictures else nan for name in retrieval.RECALLS
    }
    right = (measured or {}).get(RIGHT_CLASSES, nan)  # which older results do not have
    each = (1.0 if math.isnan(right) else right) / classes if classes else nan
    by_chance |= dict.fromkeys(ACCURACIES, each)
    by_chance |= {"zero_shot_top_5_accuracy": min(1.0, 5.0 * each) if classes else nan}
    by_chance |= {metric: (measured or {}).get(name, nan) for metric, name in CHANCES.items()}
    return {**by_chance, **modality.NO_GAP}


def _same_classes(one: Rows, other: Rows) -> bool:
    alike = np.array_equal(one.class_index, other.class_index) and np.array_equal(_right(one), _right(other))
    return alike and one.classes == other.classes


def _right(rows: Rows) -> Array:
    """The number of right classes of each row, int [N]."""
    return (rows.class_index >= 0).astype(np.int64) if rows.right_classes is None else rows.right_classes


def _right_on_average(rows: Rows) -> float:
    """The mean number of right classes of the pictures that have one."""
    _, first = np.unique(rows.picture, return_index=True)
    right = _right(rows)[first]
    return float(np.mean(right[right > 0])) if np.any(right > 0) else float("nan")


def _figures(rows: Rows, picture: Array, names: Array) -> tuple[dict[str, bootstrap.Statistic], dict[str, float]]:
    """Statistics of the metrics with intervals, and values of those without."""
    figures, count = modality.figures(rows.image, rows.text, picture, names), len(names)
    captions = PairCounts()
    if rows.retrieves:
        pairs = retrieval.Pairs.of(rows.image, rows.text, rows.caption, rows.picture)
        ranks = retrieval.ranks(pairs, captions if rows.calibrates else None, rows.scale, rows.bias)
        for k in retrieval.RECALL_AT:
            by_picture = bootstrap.share(ranks.image_to_text < k, np.arange(count), count)
            figures[f"image_to_text_recall_at_{k}"] = by_picture
            figures[f"text_to_image_recall_at_{k}"] = bootstrap.share(ranks.text_to_image < k, picture, count)
    measured: list[tuple[dict[str, bootstrap.Statistic], dict[str, float]]] = []
    if rows.places:
        measured.append(pointing.figures(rows.places, picture, count))
    if rows.keywords:
        measured.append(keywords.figures(rows.keywords, picture, count))
    chances: dict[str, float] = {}
    for found, by_chance in measured:
        figures |= found
        chances |= {CHANCES[name]: value for name, value in by_chance.items()}
    labelled = rows.class_index >= 0
    if labelled.any() and rows.classes > 1:
        _, first = np.unique(picture[labelled], return_index=True)  # a picture with several captions counts once
        rank, shown = rows.class_rank[labelled][first], picture[labelled][first]
        figures["zero_shot_accuracy"] = bootstrap.share(rank < 1, shown, count)
        figures["zero_shot_top_5_accuracy"] = bootstrap.share(rank < 5, shown, count)
        if np.max(_right(rows)) == 1:  # a picture with several right classes would count in several means
            by_class = bootstrap.mean_over_classes(rank < 1, rows.class_index[labelled][first], shown)
            figures["zero_shot_mean_per_class_accuracy"] = by_class
    calibrated = {
        f"{pairs}_{name}": value
        for pairs, counts in (("caption", captions), ("class", rows.class_counts))
        for name, value in counts.figures().items()
    }
    return figures, calibrated | chances


def _at_once(figures: Mapping[str, bootstrap.Statistic], pictures: int) -> dict[str, float]:
    """Each figure, where every picture counts once."""
    everything = np.ones([1, pictures])
    return {name: float(figure(everything)[0]) for name, figure in figures.items()}
