"""Composed queries in the report: a picture and words, and the nearest pictures."""

import dataclasses

from beam import thumbnails
from beam.exported_model import ExportedModel
from components.metrics import composed

_NEAREST, _SHOWN = 5, 8


@dataclasses.dataclass(frozen=True)
class Found:
    """A picture that a query has found; `image` is a data: URL of a PNG."""

    image: str
    caption: str
    right: bool


@dataclasses.dataclass(frozen=True)
class ComposedQuery:
    """A query and its nearest pictures, best first."""

    image: str
    caption: str
    words: str
    target: str
    nearest: list[Found]


@dataclasses.dataclass(frozen=True)
class ComposedQueries:
    """Composed retrieval on a split.

    Attributes:
      count: number of queries.
      pictures: number of candidates.
      kind: the kind of query that is shown.
      recalls: {kind of query: {k: value, low and high}}.
      chance: {k: recall of a random order}.
      shown: some queries.
    """

    count: int
    pictures: int
    kind: str
    recalls: dict[str, dict[int, dict[str, float]]]
    chance: dict[int, float]
    shown: list[ComposedQuery]


def of_split(model: ExportedModel, split: str, max_rows: int, confidence: float) -> ComposedQueries | None:
    """Composed retrieval on the first rows of a split; None if no two captions differ in one skin tone or gender.

    The queries shown are spread evenly over all of them, in the order of their keys, so that nobody has chosen them.
    """
    rows = composed.held_out_rows(split, max_rows)
    found = composed.measure(model, rows, composed.EMBED_PAIR in model.signatures, confidence)
    if found is None:
        return None
    step = max(1, len(found.queries) // _SHOWN)
    recalls = {kind: {k: dataclasses.asdict(one) for k, one in by_k.items()} for kind, by_k in found.recalls.items()}
    shown = [_query(found, number) for number in range(0, len(found.queries), step)][:_SHOWN]
    chance = {k: found.chance(k) for k in next(iter(found.recalls.values()))}
    return ComposedQueries(len(found.queries), len(rows), found.shown, recalls, chance, shown)


def _query(found: composed.Composed, number: int) -> ComposedQuery:
    one = found.queries[number]
    source = found.rows[one.source]
    nearest = [
        Found(thumbnails.data_address(found.rows[row].image), found.rows[row].caption, row == one.target)
        for row in found.nearest(number, _NEAREST)
    ]
    target = found.rows[one.target].caption
    return ComposedQuery(thumbnails.data_address(source.image), source.caption, one.words, target, nearest)
