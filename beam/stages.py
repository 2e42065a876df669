"""Stages that keep or drop rows: every dropped row has a reason, a counter and a line in the reject sidecar."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam

from beam import shuffle
from beam.progress import Progress
from beam.records import AnyRow, Rejected, Row

COUNTERS = "siglip_tfx"


class Kept(NamedTuple):
    """The outputs of a stage: PCollection of rows, of the type that the stage takes, and PCollection[Rejected].

    `removed` is PCollection[str], the reason of each caption that the stage has removed from a row that it keeps; None
    for a stage that removes no caption.
    """

    rows: beam.PCollection
    rejected: beam.PCollection
    removed: beam.PCollection | None = None


class ReportProgress(beam.DoFn):
    """Passes every row on, and prints progress."""

    def __init__(self, what: str) -> None:
        self._what = what

    def setup(self) -> None:
        self._progress = Progress(self._what)

    def process(self, row: Any) -> Iterator[Any]:
        self._progress.add(1)
        yield row


class Separate(beam.PTransform):
    """PCollection of rows and Rejected -> Kept.

    It runs two filters rather than tagged outputs, because not every engine has those (Beam's for Dask mixes them up).
    """

    @beam.typehints.no_annotations  # Kept is no PCollection, which Beam would warn about
    def expand(self, outcomes: beam.PCollection) -> Kept:
        return Kept(outcomes | "Rows" >> beam.FlatMap(_kept), outcomes | "Rejected" >> beam.FlatMap(_rejected))


def _kept(outcome: Row | Rejected) -> Iterator[Any]:  # not AnyRow: Beam binds it to the whole union
    if isinstance(outcome, Row):
        yield outcome


def _rejected(outcome: Row | Rejected) -> Iterator[Rejected]:
    if isinstance(outcome, Rejected):
        beam.metrics.Metrics.counter(COUNTERS, f"dropped_{outcome.reason}").inc()
        yield outcome


class Filter(beam.PTransform):
    """Applies `decide` to every row: it returns the row to keep (changed or not) or Rejected."""

    def __init__(self, decide: Callable[[AnyRow], AnyRow | Rejected]) -> None:
        super().__init__()
        self._decide = decide

    @beam.typehints.no_annotations
    def expand(self, rows: beam.PCollection) -> Kept:
        return rows | "Decide" >> beam.Map(self._decide) | Separate()


class KeepFirst(beam.PTransform):
    """Keeps one of the rows that share a value: the one with the smallest (key, content), so that order does not count.

    It also keeps the others for which `stays`, given the kept row and the other, is true. `detail`, given the value and
    the kept row, explains the rejects.
    """

    def __init__(
        self,
        value: Callable[[AnyRow], str],
        reason: str,
        stays: Callable[[Any, Any], bool] | None = None,
        detail: Callable[[str, Any], str] = lambda value, first: f"{value!r} is also at {first.position}",
    ) -> None:
        super().__init__()
        self._value, self._reason, self._stays, self._detail = value, reason, stays, detail

    @beam.typehints.no_annotations
    def expand(self, rows: beam.PCollection) -> Kept:
        value, reason, stays, detail = self._value, self._reason, self._stays, self._detail

        def decide(group: tuple[str, Iterable[AnyRow]]) -> Iterator[AnyRow | Rejected]:
            rows = list(group[1])
            if len(rows) > 1:
                rows.sort(key=lambda row: (row.key, row.content, row.position))
            first, *others = rows
            yield first
            for row in others:
                if stays and stays(first, row):
                    yield row
                    continue
                yield Rejected(row.key, row.position, reason, detail(group[0], first))

        grouped = rows | "Value" >> beam.Map(lambda row: (value(row), row)) | shuffle.GroupByKey()
        return grouped | "Decide" >> beam.FlatMap(decide) | Separate()


class FilterCaptions(beam.PTransform):
    """Removes captions: `decide`, given a row and the side inputs, returns a reason for each caption, "" to keep it."""

    def __init__(self, decide: Callable[..., list[str]], *side_inputs: Any) -> None:
        super().__init__()
        self._decide, self._side_inputs = decide, side_inputs

    @beam.typehints.no_annotations
    def expand(self, rows: beam.PCollection) -> Kept:
        decide = self._decide
        judged = rows | "Decide" >> beam.Map(lambda row, *sides: (row, decide(row, *sides)), *self._side_inputs)
        return judged | RemoveCaptions()


class RemoveCaptions(beam.PTransform):
    """PCollection of (row, a reason or "" for each caption) -> Kept; drops rows that have no caption left."""

    @beam.typehints.no_annotations
    def expand(self, judged: beam.PCollection) -> Kept:
        kept = judged | "Remove" >> beam.Map(_without_captions) | Separate()
        return kept._replace(removed=judged | "Removed" >> beam.FlatMap(_removed))


def _without_captions(judged: tuple[AnyRow, list[str]]) -> AnyRow | Rejected:
    row, reasons = judged
    if not any(reasons):
        return row
    captions = row.captions
    kept = [caption for caption, reason in zip(captions, reasons, strict=True) if not reason]
    if not kept:
        return Rejected(row.key, row.position, reasons[0], f"the captions are {captions!r}")
    return dataclasses.replace(row, caption=kept[0], more_captions=tuple(kept[1:]))


def _removed(judged: tuple[Row, list[str]]) -> list[str]:
    """The reasons of the captions that are removed from a row that stays."""
    _, reasons = judged
    return [] if all(reasons) else [reason for reason in reasons if reason]
