"""Which pictures the rows of an evaluation set may show: one in each group, and none of a training row."""

from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam

from beam import shuffle, stages
from beam.records import Row, RowByReference


class RequireUnseen(beam.PTransform):
    """(held-out rows, training rows) -> nothing; fails if both show the same picture."""

    def __init__(self, name: str, pictures_of: Callable[[str], frozenset[str]]) -> None:
        super().__init__()
        self._name, self._pictures_of = name, pictures_of

    def expand(self, both: tuple[beam.PCollection, beam.PCollection]) -> beam.PCollection:
        named = dict(zip(("held_out", "train"), both, strict=True))
        by_picture = {
            place: rows | f"Pictures of {place}" >> beam.FlatMap(_by_picture, self._pictures_of)
            for place, rows in named.items()
        }
        return by_picture | shuffle.CoGroupByKey() | "Require" >> beam.Map(_require_unseen, self._name)


def _by_picture(row: Row, pictures_of: Callable[[str], frozenset[str]]) -> Iterator[tuple[str, str]]:
    yield from ((picture, row.key) for picture in pictures_of(row.split_key))


def _require_unseen(group: tuple[str, dict[str, Iterable[str]]], name: str) -> None:
    picture, rows = group
    held_out, train = (min(rows[place], default="") for place in ("held_out", "train"))
    if held_out and train:
        raise ValueError(
            f"EvaluationSet {name!r}: row {held_out!r} shows {picture!r}, but the training row {train!r} shows it, "
            "too; set the shares and the salt of its source to those of ImageTextGen"
        )


def one_picture_a_group() -> stages.KeepFirst:
    """Rejects rows whose group shows another picture: metrics count each group as one picture."""
    return stages.KeepFirst(lambda row: row.split_key, "another_picture_in_group", _same_picture, _another_picture)


def _same_picture(first: RowByReference, other: RowByReference) -> bool:
    return first.reference == other.reference


def _another_picture(group: str, first: RowByReference) -> str:
    return f"its group is {group!r}, of which {first.key!r} shows another picture; give each picture its own group"
