"""The data plane from end to end: source -> filters -> unique keys and captions -> shards, rejects and a manifest."""

import apache_beam as beam

from beam import renamed, spool, stages, store, writer
from beam.filters.boxes import BoxCheck
from beam.filters.captions import CaptionFilter, CaptionSettings, CheckedCaptions, RepeatedCaptions, RowRules
from beam.filters.pictures import DecodeCheck, PictureSettings
from beam.filters.similarity import SimilarCaptions, SimilaritySettings
from beam.records import ImageText, RowByReference, normalised
from beam.sources import OpenMojiSource, Source
from models.settings.checks import require, require_at_least_zero, require_positive, settings_class


@settings_class("ImageTextGen", formerly={"Ingest": "ImageTextGen"})
class ImageTextGenSettings:
    """What ImageTextGen reads, which rows it keeps, and how it splits and stores them.

    Attributes:
      source: source of the rows, such as @JsonlSource() or @OpenMojiSource().
      pictures: limits of pictures, and how to store them.
      captions: limits of captions.
      similarity: @Similarity() removes captions that do not fit their picture. None keeps them.
      unique_captions: keeps one row of all rows that share a caption, so that training sees no held-out caption. Switch
        it off if captions repeat by design, such as class names.
      train_share: size of the train split, relative to the other two shares (8, 1 and 1 are 80 %, 10 % and 10 %).
      eval_share: size of the eval split, which the gate reads.
      test_share: size of the test split, which only the report reads.
      salt: any text; another text holds out other rows.
      shards: smallest number of shards of each split for each host. Raise it if training waits for data.
      hosts: number of hosts that train. Each split has a multiple of this number of shards, so that all read equally
        many.
      shard_bytes: largest size of a shard before compression (bytes, roughly). 0 sets no limit, and saves a pass over
        the pictures. Lower it if workers run out of memory.
      compression: compression of the shards. "GZIP" suits uncompressed or small pictures; "" compresses nothing, which
        is faster and suits JPEG.
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
        require_at_least_zero(self, "shard_bytes", fix="use 0 for no limit")
        kinds = ("GZIP", "")
        require(self.compression in kinds, "ImageTextGen.compression", self.compression, "'GZIP' or ''", "correct it")

    @property
    def layout(self) -> writer.Layout:
        """The splits and shards of the rows."""
        splits = dict(zip(writer.SPLITS, (self.train_share, self.eval_share, self.test_share), strict=True))
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
        spool.Spool.lie_beside(pipeline, self._examples_folder)
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
    captions = settings.captions
    chosen: list[tuple[str, beam.PTransform]] = [
        ("CaptionCheck", CheckedCaptions(captions)),
        ("BoxCheck", stages.Filter(BoxCheck())),
    ]
    if captions.languages or captions.blocked_terms:
        chosen.append(("RowRules", stages.Filter(RowRules(captions))))
    if captions.limit_captions:
        chosen.append(("CaptionFilter", stages.FilterCaptions(CaptionFilter(captions))))
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
        by_caption = stages.KeepFirst(lambda row: normalised(row.caption), "duplicate_caption", stays=_same_group)
        chosen.append(("UniqueCaptions", by_caption))
    return chosen


def _same_group(first: RowByReference, other: RowByReference) -> bool:
    return first.split_key == other.split_key


if __name__ == "__main__":
    renamed.run("beam.build", "pipeline.build")
