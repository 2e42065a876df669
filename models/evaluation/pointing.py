"""Pointing: whether the largest heat of a text lies in the box of what the text names.

The pointing game (arXiv 1608.00507) counts that share. A model that looks at any object, whatever the text says, is
often right, too. So the rows that point at an object of their picture are counted once more, by themselves.
"""

import dataclasses

import numpy as np

from models.evaluation import bootstrap

ACCURACY, AMONG_OBJECTS = NAMES = ("pointing_accuracy", "pointing_among_objects")
Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Places:
    """Where a model looks.

    Attributes:
      pointed: float [N], 1 if the largest heat lies in the row's box, else 0; NaN if the row has no box or the model no
        signature `localize`.
      place: float [N, 2], row and column of the largest heat in [0, 1] of the picture; NaN for a heat with NaN.
      box: float [N, 4], top, left, bottom and right in [0, 1] of the picture; NaN without a box.
    """

    pointed: Array
    place: Array
    box: Array


def figures(places: Places, picture: Array, pictures: int) -> tuple[dict[str, bootstrap.Statistic], dict[str, float]]:
    """The statistics of NAMES, and their values by chance; none if no row can be measured.

    pointing_accuracy: the share of the rows whose largest heat lies in their box. Chance is the mean area of the boxes,
    the share of a random place.
    pointing_among_objects: the same share of the rows whose largest heat lies in a box of any row of their picture.
    Chance is the share of a model that does not read the text: see `share_of_boxes`.

    Args:
      places: where the model looks.
      picture: int [N], the picture of each row, a number below `pictures`.
      pictures: the number of pictures.
    """
    asked = ~np.isnan(places.pointed)
    if not asked.any():
        return {}, {}
    found = {ACCURACY: bootstrap.share(places.pointed[asked], picture[asked], pictures)}
    chances = {ACCURACY: float(np.mean(area(places.box[asked])))}
    share = share_of_boxes(places, picture)
    hit = asked & (share > 0)
    if hit.any():
        found[AMONG_OBJECTS] = bootstrap.share(places.pointed[hit], picture[hit], pictures)
        chances[AMONG_OBJECTS] = float(np.mean(share[hit]))
    return found, chances


def share_of_boxes(places: Places, picture: Array) -> Array:
    """The share of the boxes of a row's picture that hold the row's place, float [N]; 0 for rows without a box.

    It is how often the row would be right if the texts of the picture were exchanged at random: 1 / k for a place in
    one of k boxes that do not overlap. A heat with NaN counts as a place in another box, so against the model.
    """
    share = np.zeros(len(picture))
    asked = np.flatnonzero(~np.isnan(places.pointed))
    asked = asked[np.argsort(picture[asked], kind="stable")]
    for rows in np.split(asked, 1 + np.flatnonzero(np.diff(picture[asked]))):
        top, left, bottom, right = places.box[rows].T
        y, x = places.place[rows].T[:, :, None]
        inside = (y >= top) & (y < bottom) & (x >= left) & (x < right)
        share[rows] = np.where(np.isnan(y[:, 0]), 1.0 / len(rows), inside.mean(axis=1))
    return share


def area(box: Array) -> Array:
    """The share of the picture that each box covers: [N, 4] -> [N]."""
    return (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
