"""Ranks captions for each picture and pictures for each caption, in blocks: the matrix of all pairs is never made."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from models.evaluation.calibration import PairCounts

RECALL_AT = (1, 5, 10)
RECALLS = tuple(f"{way}_recall_at_{k}" for way in ("image_to_text", "text_to_image") for k in RECALL_AT)
_BLOCK = 1 << 22  # scores in memory at once
_TIE = 1e-6  # models compute in float32, and the size of a batch changes the rounding of equal texts
Array = np.ndarray


@dataclasses.dataclass(frozen=True)
class Pairs:
    """The distinct pictures of rows, and the text of each row.

    Attributes:
      image: float64 [P, D], the embedding of each picture.
      text: float64 [N, D], the embedding of each row's text.
      picture: int [N], the picture of each row.
      caption: int [N], equal for rows with the same caption.
    """

    image: Array
    text: Array
    picture: Array
    caption: Array

    @classmethod
    def of(cls, image: Array, text: Array, captions: Array, pictures: Array) -> "Pairs":
        """Builds them from rows.

        Args:
          image: float [N, D], unit norm; rows of one picture are equal.
          text: float [N, D], unit norm; row i belongs to row i of `image`.
          captions: bytes or str [N]; a caption is right for every picture that has it in any row.
          pictures: bytes or str [N], picture ids; rows with the same id are one query and one candidate.
        """
        _, caption = np.unique(captions, return_inverse=True)
        _, first, picture = np.unique(pictures, return_index=True, return_inverse=True)
        return cls(image[first].astype(np.float64), text.astype(np.float64), picture, caption)

    def blocks(self) -> Iterator[tuple[slice, Array, Array]]:
        """Yields (slice of pictures, their scores [p, N] against all texts, bool [p, N]: which texts are right)."""
        by_picture: Array = np.argsort(self.picture, kind="stable")
        starts = np.asarray(np.searchsorted(self.picture[by_picture], np.arange(len(self.image) + 1)))
        size = max(1, _BLOCK // max(1, len(self.text)))
        for start in range(0, len(self.image), size):
            stop = min(start + size, len(self.image))
            rows = by_picture[starts[start] : starts[stop]]
            has_caption: np.ndarray = np.zeros([stop - start, self.caption.max() + 1], bool)
            has_caption[self.picture[rows] - start, self.caption[rows]] = True
            yield slice(start, stop), self.image[start:stop] @ self.text.T, has_caption[:, self.caption]


@dataclasses.dataclass(frozen=True)
class Ranks:
    """How many wrong answers score at least as high as the best right one, for each query.

    Attributes:
      image_to_text: int [P].
      text_to_image: int [N].
    """

    image_to_text: Array
    text_to_image: Array


def ranks(pairs: Pairs, counts: PairCounts | None = None, scale: float = 1.0, bias: float = 0.0) -> Ranks:
    """Ranks in both directions. Adds every pair, with the logit scale * score + bias, to `counts` if it is given."""
    image_to_text: np.ndarray = np.zeros(len(pairs.image), np.int64)
    best_picture = np.full(len(pairs.text), -np.inf)
    for pictures, scores, right in pairs.blocks():
        image_to_text[pictures] = rank(scores, right)
        np.maximum(best_picture, np.max(np.where(right, scores, -np.inf), axis=0), out=best_picture)
        if counts is not None:
            counts.add(scale * scores + bias, right)
    text_to_image: np.ndarray = np.zeros(len(pairs.text), np.int64)
    for _, scores, right in pairs.blocks():
        text_to_image += np.sum(~right & ~(scores < best_picture - _TIE), axis=0)
    return Ranks(image_to_text, text_to_image)


def rank(scores: Array, right: Array) -> Array:
    """Counts the wrong answers that score at least as high as the best right one: [N, K], bool [N, K] -> int [N].

    Scores that differ by rounding, 1e-6 or less, count as equal.
    """
    best = np.max(np.where(right, scores, -np.inf), axis=1, initial=-np.inf)
    return np.sum(~right & ~(scores < best[:, None] - _TIE), axis=1)


def recall_at_k(image: Array, text: Array, captions: Array, pictures: Array) -> dict[str, float]:
    """Computes {name of RECALLS: share of queries with a right answer in the top k}; arguments as in `Pairs.of`."""
    ranked = ranks(Pairs.of(image, text, captions, pictures))
    return {
        f"{way}_recall_at_{k}": float(np.mean(getattr(ranked, way) < k))
        for way in ("image_to_text", "text_to_image")
        for k in RECALL_AT
    }
