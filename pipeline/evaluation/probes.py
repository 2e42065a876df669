"""Classifiers on frozen picture embeddings: a linear one, and the vote of nearest neighbours."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from models.evaluation import bootstrap
from models.evaluation.metrics import Rows

LINEAR, NEAREST = "linear_probe_accuracy", "nearest_neighbours_accuracy"
NEIGHBOURS, TEMPERATURE = 20, 0.07
"""Of the vote: each neighbour has the weight exp(cosine / TEMPERATURE), as in DINO (arXiv 2104.14294)."""
_INVERSE_PENALTIES = tuple(10.0**power for power in range(-2, 5))
_ITERATIONS, _HELD_OUT = 1000, 5  # CLIP's L-BFGS (arXiv 2103.00020, appendix A.3); one picture in 5 chooses the penalty
STEPS = len(_INVERSE_PENALTIES) + 2
"""Steps of `measure`: the vote, a fit for each penalty, and the last fit."""
_BLOCK = 1 << 24  # similarities in memory at once
Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Embedded:
    """The pictures of a set that have one right class, in the order of their ids.

    Attributes:
      image: float32 [P, D], unit norm.
      label: str [P].
    """

    image: Array
    label: Array

    @classmethod
    def of(cls, rows: Rows, classes: Sequence[str], name: str) -> "Embedded":
        """Takes each picture of a set once.

        Raises:
          ValueError: a picture has several right classes, or no picture has one.
        """
        _, first = np.unique(rows.picture, return_index=True)
        first = first[rows.class_index[first] >= 0]
        several = rows.right_classes is not None and np.max(rows.right_classes, initial=0) > 1
        if several or not len(first):
            what = "a picture with several right classes" if several else "no picture with a class"
            raise _unfit(name, what)
        return cls(rows.image[first], np.array(classes)[rows.class_index[first]])


def require_fit(name: str, classes: Sequence[str], several: bool, fewest: int = 1) -> None:
    """Raises ValueError for a set whose rows no probe can use: it has fewer classes, or rows with several."""
    if several:
        raise _unfit(name, "a picture with several right classes")
    if not classes:
        raise _unfit(name, "no picture with a class")
    if len(classes) < fewest:
        raise ValueError(
            f"EvaluationSet {name!r} has the classes {list(classes)}, but a probe is fitted on {fewest} or more; name "
            "another set in EvaluationSet.fitted_on"
        )


def _unfit(name: str, what: str) -> ValueError:
    return ValueError(
        f"EvaluationSet {name!r} has {what}, but a probe needs one right class per picture; set "
        "EvaluationSet.fitted_on = ''"
    )


def measure(
    fitted: Embedded, scored: Embedded, confidence: float, done: Callable[[], object] = lambda: None
) -> dict[str, float]:
    """{LINEAR and NEAREST, with _low and _high: value}: the shares of pictures whose class a classifier knows.

    Args:
      fitted: the pictures that the classifiers are fitted on.
      scored: the pictures that they are asked about. A class that `fitted` does not have counts as wrong.
      confidence: of the intervals, by bootstrap over pictures.
      done: is called after each of STEPS steps.

    Raises:
      ValueError: `fitted` has fewer than two classes.
    """
    names = sorted({*fitted.label.tolist()})
    if len(names) < 2:
        raise ValueError(f"the rows that a probe is fitted on have the classes {names}, but must have two or more")
    hits = {NEAREST: nearest(fitted, scored.image) == scored.label}
    done()
    hits[LINEAR] = linear(fitted, scored.image, done) == scored.label
    count = len(scored.label)
    drawn = bootstrap.resample(
        {name: bootstrap.share(hit, np.arange(count), count) for name, hit in hits.items()}, count
    )
    found: dict[str, float] = {}
    for name, hit in hits.items():
        value, margin = float(np.mean(hit)), bootstrap.margin(drawn[name], count, confidence)
        found |= {name: value, f"{name}_low": max(0.0, value - margin), f"{name}_high": min(1.0, value + margin)}
    return found


def linear(fitted: Embedded, image: Array, done: Callable[[], object] = lambda: None) -> Array:
    """Labels by logistic regression over all classes, in float32: str [P].

    The penalty is the one, of seven, that does best on every fifth picture when it is fitted on the others.
    """
    chooses = np.arange(len(fitted.label)) % _HELD_OUT == _HELD_OUT - 1
    best, best_share = _INVERSE_PENALTIES[len(_INVERSE_PENALTIES) // 2], -1.0
    if chooses.any() and len({*fitted.label[~chooses].tolist()}) > 1:
        held_out, others = (Embedded(fitted.image[one], fitted.label[one]) for one in (chooses, ~chooses))
        for inverse in _INVERSE_PENALTIES:
            share = float(np.mean(_regressed(others, held_out.image, inverse) == held_out.label))
            if share > best_share:
                best, best_share = inverse, share
            done()
    answers = _regressed(fitted, image, best)
    done()
    return answers


def _regressed(fitted: Embedded, image: Array, inverse_penalty: float) -> Array:
    from sklearn.linear_model import LogisticRegression  # takes a second

    model = LogisticRegression(C=inverse_penalty, max_iter=_ITERATIONS).fit(fitted.image, fitted.label)
    return np.asarray(model.predict(image))


def nearest(fitted: Embedded, image: Array) -> Array:
    """Labels by the weighted vote of the NEIGHBOURS nearest pictures: str [P]; ties go to the first label by name."""
    names, number = np.unique(fitted.label, return_inverse=True)
    count = min(NEIGHBOURS, len(number))
    answers = []
    size = max(1, _BLOCK // len(number))
    for start in range(0, len(image), size):
        similarity = image[start : start + size] @ fitted.image.T
        nearest_ones = np.argpartition(similarity, -count, axis=1)[:, -count:]
        weight = np.exp((np.take_along_axis(similarity, nearest_ones, axis=1) - 1.0) / TEMPERATURE)
        votes = np.zeros([len(similarity), len(names)])
        np.add.at(votes, (np.arange(len(similarity))[:, None], number[nearest_ones]), weight)
        answers.append(votes.argmax(axis=1))
    return names[np.concatenate(answers)]
