"""The data plane from end to end: source -> filters -> unique keys and captions -> shards, rejects and a manifest."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam

from beam import filters, stages, writer
from beam.decode import DecodeCheck, PictureRules
from beam.filters import CaptionRules
from beam.records import ImageText
from beam.similarity import SimilarCaptions, SimilarityRules
from beam.sources import Source

MANIFEST_FILE = "manifest.json"


class LostRows(RuntimeError):
    """Rows read are not rows written plus rows dropped: a bug of this package, never of the data."""


@dataclasses.dataclass(frozen=True)
class BuildOptions:
    """What to keep and where it goes.

    Attributes:
      layout: splits, shards and salt.
      pictures, captions: what either must be like.
      similarity: what they must have in common, or None.
      unique_captions: keep one row of those that share their first caption, so that no held-out one is trained on.
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
        rows, rejected, removed = _filter(outcomes, options)
        shards = rows | "WriteShards" >> writer.WriteShards(self._examples_folder, options.layout)
        reject_files = rejected | "WriteRejects" >> writer.WriteRejects(self._report_folder)

        read = outcomes | "NameRead" >> beam.Map(lambda _: "read")
        dropped = rejected | "NameDropped" >> beam.Map(lambda row: f"dropped_{row.reason}")
        removed_names = removed | "NameRemoved" >> beam.Map(lambda reason: f"removed_{reason}")
        counts = (read, dropped, removed_names) | "Names" >> beam.Flatten() | beam.combiners.Count.PerElement()
        first, every = filters.first_caption, filters.all_captions
        shared_first = rows | "SharedFirstCaptions" >> _CaptionsInSeveralSplits(options.layout, first)
        shared = rows | "SharedCaptions" >> _CaptionsInSeveralSplits(options.layout, every)
        return (
            pipeline
            | "Once" >> beam.Create([None])
            | "Manifest"
            >> beam.Map(
                _write_manifest,
                self._report_folder,
                counts=beam.pvalue.AsList(counts),
                shards=beam.pvalue.AsList(shards),
                shared_first=beam.pvalue.AsSingleton(shared_first),
                shared=beam.pvalue.AsSingleton(shared),
                reject_files=beam.pvalue.AsList(reject_files),
                unique_captions=options.unique_captions,
            )
        )


def _filter(outcomes: beam.PCollection, options: BuildOptions) -> stages.Kept:
    """The filters in order; returns the rows kept, all rejects, and the reasons of captions removed from kept rows."""
    kept = outcomes | "Source" >> stages.Separate()
    rejects, removed = [kept.rejected], []
    for name, stage in _filters(options):
        kept = kept.rows | name >> stage
        rejects.append(kept.rejected)
        removed += [kept.removed] if kept.removed else []
    every_removed = removed or [outcomes.pipeline | "NoneRemoved" >> beam.Create([])]
    return stages.Kept(kept.rows, rejects | "Rejects" >> beam.Flatten(), every_removed | "Removed" >> beam.Flatten())


def _filters(options: BuildOptions) -> list[tuple[str, beam.PTransform]]:
    """In order of cost; what counts over the corpus comes after what looks at one row."""
    rules = options.captions
    chosen: list[tuple[str, beam.PTransform]] = [
        ("CaptionCheck", stages.Filter(filters.CaptionCheck())),
        ("RowRules", stages.Filter(filters.RowRules(rules))),
        ("CaptionFilter", stages.FilterCaptions(filters.CaptionFilter(rules))),
        ("DecodeCheck", stages.Filter(DecodeCheck(options.pictures))),
    ]
    if options.similarity:
        chosen.append(("Similarity", SimilarCaptions(options.similarity)))
    chosen.append(("UniqueKeys", stages.KeepFirst(lambda row: row.key, "duplicate_key")))
    if rules.max_repeats:
        chosen.append(("RepeatedCaptions", filters.RepeatedCaptions(rules.max_repeats)))
    if options.unique_captions:
        chosen.append(
            ("UniqueCaptions", stages.KeepFirst(lambda row: filters.first_caption(row)[0], "duplicate_caption"))
        )
    return chosen


class _CaptionsInSeveralSplits(beam.PTransform):
    """PCollection[ImageText] -> the number of captions that lie in more than one split."""

    def __init__(self, layout: writer.Layout, captions_of: Callable[[ImageText], Iterable[str]]) -> None:
        super().__init__()
        self._layout, self._captions_of = layout, captions_of

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        layout, captions_of = self._layout, self._captions_of
        return (
            rows
            | beam.FlatMap(lambda row: [(caption, layout.split_of(row.key)) for caption in captions_of(row)])
            | beam.Distinct()
            | "Captions" >> beam.Keys()
            | beam.combiners.Count.PerElement()
            | beam.Filter(lambda caption: caption[1] > 1)
            | beam.combiners.Count.Globally()
        )


def _write_manifest(
    _: None,
    folder: str,
    counts: Iterable[tuple[str, int]],
    shards: Iterable[writer.Shard],
    shared_first: int,
    shared: int,
    reject_files: Iterable[str],
    unique_captions: bool,
) -> dict[str, Any]:
    by_name = dict(sorted(counts))
    read = by_name.pop("read", 0)
    removed = {name: by_name.pop(name) for name in list(by_name) if name.startswith("removed_")}
    listed = sorted(shards, key=lambda shard: shard.file)
    splits: dict[str, int] = {}
    for shard in listed:
        splits[shard.split] = splits.get(shard.split, 0) + shard.rows
    written = sum(splits.values())
    if read != written + sum(by_name.values()):
        raise LostRows(f"read {read} rows, but wrote {written} and dropped {by_name}; please report this with your gin")
    if unique_captions and shared_first:
        raise LostRows(
            f"{shared_first} captions lie in more than one split although captions are unique; please report this"
        )
    manifest = {
        "read": read,
        "written": written,
        "dropped": {name.removeprefix("dropped_"): count for name, count in by_name.items()},
        "captions_removed": {name.removeprefix("removed_"): count for name, count in removed.items()},
        "splits": splits,
        "captions_in_several_splits": shared,
        "shards": [dataclasses.asdict(shard) for shard in listed],
        "reject_files": sorted(os.path.basename(path) for path in reject_files),
    }
    writer.write_text(os.path.join(folder, MANIFEST_FILE), json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return manifest
