"""How a stage keeps or drops: every dropped row has a reason, a counter and a line in the reject sidecar."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam

from beam.records import ImageText, Outcome, Rejected

COUNTERS = "siglip_tfx"
_PROGRESS_SECONDS = 3.0
_REJECTED = "rejected"


class Kept(NamedTuple):
    """What comes out of a stage: PCollection[ImageText] and PCollection[Rejected]."""

    rows: beam.PCollection
    rejected: beam.PCollection


class Progress:
    """Prints now and then how many rows this worker has seen and how fast."""

    def __init__(self, what: str) -> None:
        self._what, self._rows = what, 0
        self._start = self._printed = time.monotonic()

    def add(self, rows: int) -> None:
        """Counts rows."""
        self._rows += rows
        now = time.monotonic()
        if now - self._printed > _PROGRESS_SECONDS:
            self._printed = now
            print(f"      {self._what} {self._rows:,} rows, {self._rows / (now - self._start):,.0f} rows/s", flush=True)


class ReportProgress(beam.DoFn):
    """Lets every row through, and prints progress."""

    def __init__(self, what: str) -> None:
        self._what = what

    def setup(self) -> None:
        self._progress = Progress(self._what)

    def process(self, row: Any) -> Iterator[Any]:
        self._progress.add(1)
        yield row


class _Separate(beam.DoFn):
    def process(self, outcome: Outcome) -> Iterator[Any]:
        if isinstance(outcome, Rejected):
            beam.metrics.Metrics.counter(COUNTERS, f"dropped_{outcome.reason}").inc()
            yield beam.pvalue.TaggedOutput(_REJECTED, outcome)
        else:
            yield outcome


class Separate(beam.PTransform):
    """PCollection[Outcome] -> Kept."""

    @beam.typehints.no_annotations  # Kept is no PCollection, which Beam would warn about
    def expand(self, outcomes: beam.PCollection) -> Kept:
        tagged = outcomes | beam.ParDo(_Separate()).with_outputs(_REJECTED, main="rows")
        return Kept(tagged.rows, tagged[_REJECTED])


class Filter(beam.PTransform):
    """Applies `decide`, ImageText -> the row to keep (changed or not) or Rejected, to every row."""

    def __init__(self, decide: Callable[[ImageText], Outcome]) -> None:
        super().__init__()
        self._decide = decide

    @beam.typehints.no_annotations
    def expand(self, rows: beam.PCollection) -> Kept:
        return rows | "Decide" >> beam.Map(self._decide) | Separate()


class KeepFirst(beam.PTransform):
    """Of the rows that share a value, keeps the one with the smallest (key, content), whatever order they come in.

    With `group_stays`, the others of that row's group stay too.
    """

    def __init__(self, value: Callable[[ImageText], str], reason: str, group_stays: bool = False) -> None:
        super().__init__()
        self._value, self._reason, self._group_stays = value, reason, group_stays

    @beam.typehints.no_annotations
    def expand(self, rows: beam.PCollection) -> Kept:
        value, reason, group_stays = self._value, self._reason, self._group_stays

        def decide(group: tuple[str, Iterable[ImageText]]) -> Iterator[Outcome]:
            first, *others = sorted(group[1], key=lambda row: (row.key, row.to_example()))
            yield first
            for row in others:
                if group_stays and row.split_key == first.split_key:
                    yield row
                    continue
                yield Rejected(row.key, row.position, reason, f"{group[0]!r} is also at {first.position}")

        grouped = rows | "Value" >> beam.Map(lambda row: (value(row), row)) | beam.GroupByKey()
        return grouped | "Decide" >> beam.FlatMap(decide) | Separate()
