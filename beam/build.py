"""The data plane from end to end: source -> filters -> unique keys and captions -> shards, rejects and a manifest."""

import dataclasses

import apache_beam as beam

from beam import filters, stages, store, writer
from beam.sources import Source


@dataclasses.dataclass(frozen=True)
class BuildOptions:
    """What to keep and where it goes.

    Attributes:
      layout: splits, shards and salt.
      min_side, max_pixels: limits of `filters.DecodeCheck`.
      unique_captions: keep one row of those that share their first caption (or those of one group), so that no held-out
        one is trained on.
    """

    layout: writer.Layout
    min_side: int = 16
    max_pixels: int = 89_478_485
    unique_captions: bool = False


class Build(beam.PTransform):
    """Pipeline -> PCollection of the one manifest (dict), after everything is written.

    Writes `examples_folder`/Split-*/data_tfrecord-*.gz, and `report_folder`/manifest.json and rejects-*.jsonl.
    """

    def __init__(self, source: Source, options: BuildOptions, examples_folder: str, report_folder: str) -> None:
        super().__init__()
        self._source = source
        self._options = options
        self._examples_folder = examples_folder
        self._report_folder = report_folder

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        options = self._options
        outcomes = pipeline | "Read" >> self._source.read() | beam.ParDo(stages.ReportProgress("read"))
        rows, rejected = _filter(outcomes, options)
        stored = store.Store(options.layout, self._examples_folder, self._report_folder, options.unique_captions)
        return (outcomes, rows, rejected) | "Store" >> stored


def _filter(outcomes: beam.PCollection, options: BuildOptions) -> tuple[beam.PCollection, beam.PCollection]:
    """The row filters in order; returns the rows kept, and all rejects."""
    rejects = []
    rows, rejected = outcomes | "Source" >> stages.Separate()
    rejects.append(rejected)
    for name, stage in _filters(options):
        rows, rejected = rows | name >> stage
        rejects.append(rejected)
    return rows, rejects | "Rejects" >> beam.Flatten()


def _filters(options: BuildOptions) -> list[tuple[str, beam.PTransform]]:
    chosen: list[tuple[str, beam.PTransform]] = [
        ("CaptionCheck", stages.Filter(filters.CaptionCheck())),
        ("DecodeCheck", stages.Filter(filters.DecodeCheck(options.min_side, options.max_pixels))),
        ("UniqueKeys", stages.KeepFirst(lambda row: row.key, "duplicate_key")),
    ]
    if options.unique_captions:
        by_caption = stages.KeepFirst(lambda row: filters.first_caption(row)[0], "duplicate_caption", group_stays=True)
        chosen.append(("UniqueCaptions", by_caption))
    return chosen
