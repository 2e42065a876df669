"""How far apart pictures and texts lie, whatever they show: the modality gap (arXiv 2203.02053), and a probe.

Both are smaller for a better model. A row with NaN counts as the worst: a gap of 2 and an accuracy of 1.
"""

import hashlib

import numpy as np

from models.evaluation import bootstrap

NAMES = ("modality_gap", "modality_probe")
LARGEST = {"modality_gap": 2.0, "modality_probe": 1.0}
NO_GAP = {"modality_gap": 0.0, "modality_probe": 0.5}
_CUT = 1e-10  # eigenvalues of the moments that are smaller, relative to the largest one, count as 0
_EVEN = 1e-9  # a score this near to 0 tells nothing
_FEWEST = 4  # pictures
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
    images = image[first].astype(np.float64)
    texts: np.ndarray = text.astype(np.float64)
    if not (np.isfinite(images).all() and np.isfinite(texts).all()):
        return {name: _constant(LARGEST[name]) for name in NAMES}
    return {"modality_gap": _gap(images, texts, picture), "modality_probe": _probe(images, texts, picture, names)}


def _constant(value: float) -> bootstrap.Statistic:
    return lambda weights: np.full(len(weights), value)


def _gap(images: Array, texts: Array, picture: Array) -> bootstrap.Statistic:
    """The distance of both means; a picture counts once, and so does each of its texts."""
    sums: Array = np.zeros_like(images)
    np.add.at(sums, picture, texts)
    asked = np.bincount(picture, minlength=len(images)).astype(np.float64)

    def statistic(weights: Array) -> Array:
        with np.errstate(invalid="ignore"):  # a resample without a picture has no figure
            mean_image = weights @ images / weights.sum(axis=1, keepdims=True)
            mean_text = weights @ sums / (weights @ asked)[:, None]
        return np.linalg.norm(mean_image - mean_text, axis=1)

    return statistic


def _probe(images: Array, texts: Array, picture: Array, names: Array) -> bootstrap.Statistic:
    order = np.argsort([hashlib.sha256(bytes(name)).digest() for name in names], kind="stable")
    fits: Array = np.zeros(len(names), bool)
    fits[order[: len(names) // 2]] = True
    rows = np.concatenate([images, texts])
    shown = np.concatenate([np.arange(len(images)), picture])
    is_image = np.arange(len(rows)) < len(images)
    score = _classifier(rows[fits[shown]], is_image[fits[shown]])(rows[~fits[shown]])
    told = np.where(np.abs(score) < _EVEN, 0.5, (score > 0) == is_image[~fits[shown]])
    return bootstrap.share(told, shown[~fits[shown]], len(names))


def _classifier(rows: Array, is_image: Array) -> "bootstrap.Statistic":
    """Rows [M, D] -> scores [M] by least squares with an intercept, towards 1 for pictures and -1 for texts.

    Both modalities weigh the same, so that several texts a picture do not shift the border. The solution is that of
    smallest norm.
    """
    weight = np.where(is_image, 0.5 / is_image.sum(), 0.5 / (~is_image).sum())
    with_one = np.concatenate([rows, np.ones([len(rows), 1])], axis=1)
    moments = (with_one * weight[:, None]).T @ with_one
    solved = np.linalg.pinv(moments, rcond=_CUT, hermitian=True) @ (with_one.T @ (weight * np.where(is_image, 1, -1)))
    return lambda other: other @ solved[:-1] + solved[-1]
