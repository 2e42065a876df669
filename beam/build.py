"""The data plane from end to end: source -> filters -> unique keys and captions -> shards, rejects and a manifest."""

import apache_beam as beam

from beam import renamed, stages, store, writer
from beam.filters.captions import CaptionCheck, CaptionFilter, CaptionSettings, RepeatedCaptions, RowRules
from beam.filters.pictures import DecodeCheck, PictureSettings
from beam.filters.similarity import SimilarCaptions, SimilaritySettings
from beam.records import ImageText, normalised
from beam.sources import OpenMojiSource, Source
from models.settings.checks import require, require_at_least_zero, require_positive, settings_class


@settings_class("ImageTextGen", formerly={"Ingest": "ImageTextGen"})
class ImageTextGenSettings:
    """What ImageTextGen reads, keeps and holds out.

    Attributes:
      source: where rows come from, such as @JsonlSource() or @OpenMojiSource().
      pictures, captions: what either must be like.
      similarity: what they must have in common, by a model of before; None asks for nothing.
      unique_captions: keep one row of those that share a caption, so that no held-out caption is trained on.
      train_share, eval_share, test_share: shares of the splits, in any unit; eval feeds the gate, test only the report.
      salt: changes which rows are held out.
      shards: files of each split for each host, at least.
      hosts: that read the files in training; the number of files is a multiple of it.
      shard_bytes: what a file may hold before it is compressed; 0 for no limit, which saves a pass over the pictures.
      compression: of the files, "GZIP" or "" for none, which suits pictures in JPEG.
    """

    source: Source = OpenMojiSource()
    pictures: PictureSettings = PictureSettings()
    captions: CaptionSettings = CaptionSettings()
    similarity: SimilaritySettings | None = None
    unique_captions: bool = True
    train_share: int = 8
    eval_share: int = 1
    test_share: int = 1
    salt: str = "siglip"
    shards: int = 4
    hosts: int = 1
    shard_bytes: int = 128 << 20
    compression: str = "GZIP"

    def __post_init__(self) -> None:
        require_positive(self, "train_share", "eval_share", "test_share", "shards", "hosts")
        require_at_least_zero(self, "shard_bytes", fix="set it to 0 for no limit")
        kinds = ("GZIP", "")
        require(self.compression in kinds, "ImageTextGen.compression", self.compression, "'GZIP' or ''", "correct it")

    @property
    def layout(self) -> writer.Layout:
        """The splits and shards of the rows that are written."""
        splits = {"train": self.train_share, "eval": self.eval_share, "test": self.test_share}
        return writer.Layout(splits, self.shards, self.salt, self.hosts, self.shard_bytes, self.compression)


class Build(beam.PTransform):
    """Pipeline -> PCollection of the one manifest (dict), after everything is written.

    Writes `examples_folder`/Split-*/data_tfrecord-*.gz, and `report_folder`/manifest.json and rejects-*.jsonl.
    """

    def __init__(self, settings: ImageTextGenSettings, examples_folder: str, report_folder: str) -> None:
        super().__init__()
        self._settings = settings
        self._examples_folder = examples_folder
        self._report_folder = report_folder

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        settings = self._settings
        outcomes = pipeline | "Read" >> settings.source.read() | beam.ParDo(stages.ReportProgress("read"))
        stored = store.Store(settings.layout, self._examples_folder, self._report_folder, settings.unique_captions)
        return _filter(outcomes, settings) | "Store" >> stored


def _filter(outcomes: beam.PCollection, settings: ImageTextGenSettings) -> store.Flow:
    """Applies all filters in order."""
    kept = [outcomes | "Source" >> stages.Separate()]
    for name, stage in _row_filters(settings):
        kept.append(kept[-1].rows | name >> stage)
    pictured = kept[-1].rows
    rows = pictured | "ByReference" >> beam.Map(ImageText.by_reference)
    for name, stage in _corpus_filters(settings):
        kept.append(rows | name >> stage)
        rows = kept[-1].rows
    rejected = [stage.rejected for stage in kept] | "Rejects" >> beam.Flatten()
    nothing = outcomes.pipeline | "NoneRemoved" >> beam.Create([])  # on Dask, Beam flattens no empty list
    removed = [nothing, *(stage.removed for stage in kept if stage.removed)] | "Removed" >> beam.Flatten()
    return store.Flow(outcomes, pictured, rows, rejected, removed)


def _row_filters(settings: ImageTextGenSettings) -> list[tuple[str, beam.PTransform]]:
    """The filters that look at one row at a time, the cheapest first."""
    rules = settings.captions
    chosen: list[tuple[str, beam.PTransform]] = [
        ("CaptionCheck", stages.Filter(CaptionCheck())),
    ]
    if rules.languages or rules.blocked_terms:
        chosen.append(("RowRules", stages.Filter(RowRules(rules))))
    if rules.limit_captions:
        chosen.append(("CaptionFilter", stages.FilterCaptions(CaptionFilter(rules))))
    chosen.append(("DecodeCheck", stages.Filter(DecodeCheck(settings.pictures))))
    if settings.similarity:
        chosen.append(("Similarity", SimilarCaptions(settings.similarity)))
    return chosen


def _corpus_filters(settings: ImageTextGenSettings) -> list[tuple[str, beam.PTransform]]:
    """The filters that compare rows with each other; they take rows by reference, so that no picture is shuffled."""
    chosen: list[tuple[str, beam.PTransform]] = [
        ("UniqueKeys", stages.KeepFirst(lambda row: row.key, "duplicate_key")),
    ]
    if settings.captions.max_repeats:
        chosen.append(("RepeatedCaptions", RepeatedCaptions(settings.captions.max_repeats)))
    if settings.unique_captions:
        by_caption = stages.KeepFirst(lambda row: normalised(row.caption), "duplicate_caption", group_stays=True)
        chosen.append(("UniqueCaptions", by_caption))
    return chosen


if __name__ == "__main__":
    renamed.run("beam.build", "pipeline.build")
