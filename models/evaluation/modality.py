"""How far apart pictures and texts lie, whatever they show: the modality gap (arXiv 2203.02053), and a probe.

Both are smaller for a better model. A row with NaN counts as the worst: a gap of 2 and an accuracy of 1.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator

import numpy as np

from models.evaluation import bootstrap

NAMES = ("modality_gap", "modality_probe")
LARGEST = {"modality_gap": 2.0, "modality_probe": 1.0}
NO_GAP = {"modality_gap": 0.0, "modality_probe": 0.5}
_CUT = 1e-10  # eigenvalues of the moments that are smaller, relative to the largest one, count as 0
_EVEN = 1e-9  # a score this near to 0 tells nothing
_FEWEST = 4  # pictures
_ROWS = 1024  # embeddings in float64 at once
Array = np.ndarray


def figures(image: Array, text: Array, picture: Array, names: Array) -> dict[str, bootstrap.Statistic]:
    """The statistics of NAMES; none for fewer than four pictures.

    modality_gap: the distance of the mean picture and the mean text. modality_probe: how often a least-squares
    classifier tells from an embedding whether it is of a picture or of a text. Half of the pictures, with their texts,
    fit it, and the other half score it; the hash of a picture's id decides its half. .5 is no gap.

    Args:
      image: float [N, D], unit norm; rows of one picture have the same one.
      text: float [N, D], unit norm.
      picture: int [N], the picture of each row, a number below P.
      names: bytes [P], the id of each picture.
    """
    count = len(names)
    if count < _FEWEST:
        return {}
    _, first = np.unique(picture, return_index=True)
    images, texts = _Embeddings(image, first, np.arange(count)), _Embeddings(text, np.arange(len(text)), picture)
    if not all(np.isfinite(rows).all() for one in (images, texts) for _, rows in one.blocks()):
        return {name: _constant(LARGEST[name]) for name in NAMES}
    return {"modality_gap": _gap(images, texts), "modality_probe": _probe(images, texts, names)}


@dataclasses.dataclass(frozen=True)
class _Embeddings:
    """Some rows of [N, D]. A block of them at a time is made float64, so that no copy of all of them is.

    Attributes:
      every: float [N, D].
      chosen: int [M], the rows.
      picture: int [M], the picture of each.
    """

    every: Array
    chosen: Array
    picture: Array

    def blocks(self) -> Iterator[tuple[Array, Array]]:
        """Yields (int [m], the pictures; float64 [m, D], their embeddings)."""
        for start in range(0, len(self.chosen), _ROWS):
            some = slice(start, start + _ROWS)
            yield self.picture[some], self.every[self.chosen[some]].astype(np.float64)

    def of(self, wanted: Array) -> "_Embeddings":
        """The rows of some pictures; `wanted` is bool [P]."""
        kept = wanted[self.picture]
        return _Embeddings(self.every, self.chosen[kept], self.picture[kept])


def _constant(value: float) -> bootstrap.Statistic:
    return lambda weights: np.full(len(weights), value)


def _gap(images: _Embeddings, texts: _Embeddings) -> bootstrap.Statistic:
    """The distance of both means; a picture counts once, and so does each of its texts."""

    def mean(embeddings: _Embeddings, weights: Array) -> Array:
        total: Array = np.zeros([len(weights), embeddings.every.shape[1]])
        counted: Array = np.zeros([len(weights), 1])
        for picture, rows in embeddings.blocks():
            weight = weights[:, picture]
            total += weight @ rows
            counted += weight.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):  # a resample without a picture has no figure
            return np.asarray(total / counted)

    return lambda weights: np.linalg.norm(mean(images, weights) - mean(texts, weights), axis=1)


def _probe(images: _Embeddings, texts: _Embeddings, names: Array) -> bootstrap.Statistic:
    order = np.argsort([hashlib.sha256(bytes(name)).digest() for name in names], kind="stable")
    fits: Array = np.zeros(len(names), bool)
    fits[order[: len(names) // 2]] = True
    score = _classifier(images.of(fits), texts.of(fits))
    told, shown = [], []
    for embeddings, sign in ((images, 1), (texts, -1)):
        for picture, rows in embeddings.of(~fits).blocks():
            towards: Array = sign * score(rows)
            told.append(np.where(np.abs(towards) < _EVEN, 0.5, towards > 0))
            shown.append(picture)
    return bootstrap.share(np.concatenate(told), np.concatenate(shown), len(names))


def _classifier(images: _Embeddings, texts: _Embeddings) -> Callable[[Array], Array]:
    """Rows [M, D] -> scores [M] by least squares with an intercept, towards 1 for pictures and -1 for texts.

    Both modalities weigh the same, so that several texts a picture do not shift the border. The solution is that of
    smallest norm.
    """
    moments, means = [], []
    for embeddings in (images, texts):
        width, weight = embeddings.every.shape[1] + 1, 0.5 / len(embeddings.chosen)
        moment: Array = np.zeros([width, width])
        total: Array = np.zeros(width)
        for _, rows in embeddings.blocks():
            with_one = np.concatenate([rows, np.ones([len(rows), 1])], axis=1)
            moment += with_one.T @ with_one
            total += with_one.sum(axis=0)
        moments.append(weight * moment)
        means.append(weight * total)
    solved = np.linalg.pinv(moments[0] + moments[1], rcond=_CUT, hermitian=True) @ (means[0] - means[1])
    return lambda other: other @ solved[:-1] + solved[-1]
