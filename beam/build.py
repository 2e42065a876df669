"""The data plane from end to end: source -> filters -> unique keys and captions -> shards, rejects and a manifest."""

import dataclasses
import json

import apache_beam as beam

from beam import renamed, stages, store, writer
from beam.filters.captions import CaptionCheck, CaptionFilter, CaptionRules, RepeatedCaptions, RowRules
from beam.filters.pictures import DecodeCheck, PictureRules
from beam.filters.similarity import SimilarCaptions, SimilarityRules
from beam.records import ImageText, normalised
from beam.sources import Source


@dataclasses.dataclass(frozen=True)
class BuildOptions:
    """What to keep and where it goes.

    Attributes:
      layout: splits, shards and salt.
      pictures, captions: what either must be like.
      similarity: what they must have in common, or None.
      unique_captions: keep one row of those that share their first caption (or those of one group), so that no held-out
        one is trained on.
    """

    layout: writer.Layout
    pictures: PictureRules = PictureRules()
    captions: CaptionRules = CaptionRules()
    similarity: SimilarityRules | None = None
    unique_captions: bool = False

    def to_json(self) -> str:
        """The options as text that travels."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "BuildOptions":
        """Makes the options that `to_json` wrote."""
        fields = json.loads(text)
        return cls(
            layout=writer.Layout(**fields["layout"]),
            pictures=PictureRules(**fields["pictures"]),
            captions=CaptionRules(**fields["captions"]),
            similarity=SimilarityRules(**fields["similarity"]) if fields["similarity"] else None,
            unique_captions=fields["unique_captions"],
        )


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
        stored = store.Store(options.layout, self._examples_folder, self._report_folder, options.unique_captions)
        return _filter(outcomes, options) | "Store" >> stored


def _filter(outcomes: beam.PCollection, options: BuildOptions) -> store.Flow:
    """Applies all filters in order."""
    kept = [outcomes | "Source" >> stages.Separate()]
    for name, stage in _row_filters(options):
        kept.append(kept[-1].rows | name >> stage)
    pictured = kept[-1].rows
    rows = pictured | "ByReference" >> beam.Map(ImageText.by_reference)
    for name, stage in _corpus_filters(options):
        kept.append(rows | name >> stage)
        rows = kept[-1].rows
    rejected = [stage.rejected for stage in kept] | "Rejects" >> beam.Flatten()
    nothing = outcomes.pipeline | "NoneRemoved" >> beam.Create([])  # on Dask, Beam flattens no empty list
    removed = [nothing, *(stage.removed for stage in kept if stage.removed)] | "Removed" >> beam.Flatten()
    return store.Flow(outcomes, pictured, rows, rejected, removed)


def _row_filters(options: BuildOptions) -> list[tuple[str, beam.PTransform]]:
    """The filters that look at one row at a time, the cheapest first."""
    rules = options.captions
    chosen: list[tuple[str, beam.PTransform]] = [
        ("CaptionCheck", stages.Filter(CaptionCheck())),
    ]
    if rules.languages or rules.blocked_terms:
        chosen.append(("RowRules", stages.Filter(RowRules(rules))))
    if rules.limit_captions:
        chosen.append(("CaptionFilter", stages.FilterCaptions(CaptionFilter(rules))))
    chosen.append(("DecodeCheck", stages.Filter(DecodeCheck(options.pictures))))
    if options.similarity:
        chosen.append(("Similarity", SimilarCaptions(options.similarity)))
    return chosen


def _corpus_filters(options: BuildOptions) -> list[tuple[str, beam.PTransform]]:
    """The filters that compare rows with each other; they take rows by reference, so that no picture is shuffled."""
    chosen: list[tuple[str, beam.PTransform]] = [
        ("UniqueKeys", stages.KeepFirst(lambda row: row.key, "duplicate_key")),
    ]
    if options.captions.max_repeats:
        chosen.append(("RepeatedCaptions", RepeatedCaptions(options.captions.max_repeats)))
    if options.unique_captions:
        by_caption = stages.KeepFirst(lambda row: normalised(row.caption), "duplicate_caption", group_stays=True)
        chosen.append(("UniqueCaptions", by_caption))
    return chosen


if __name__ == "__main__":
    renamed.run("beam.build", "pipeline.build")
