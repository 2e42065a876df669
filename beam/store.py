"""The end of every stage of the data plane: shards, rejects, and a manifest in which no row is missing."""

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import tensorflow as tf

from beam import shuffle, spool, stages, writer
from beam.records import Row, Skipped
from models import files

MANIFEST_FILE = "manifest.json"
SAMPLES_FILE = "samples.json"
"""Some rows of a stage for the report, with pictures as data: addresses."""
_SHARED, _SHARED_FIRST = "shared", "shared_first"  # the counters of captions in several splits


class Folders(NamedTuple):
    """Folders of a stage: the Examples that it reads, the Examples that it writes, and its report."""

    source: str
    examples: str
    report: str


class LostRows(RuntimeError):
    """The rows read are not the rows written, dropped and skipped: a bug of this package, not of the data."""


class NoRows(ValueError):
    """A split has no row, or fewer rows than training needs."""


class Flow(NamedTuple):
    """The results of a stage, as PCollections.

    Attributes:
      read: one element of any type for each row that was read; a Skipped counts for several. One PCollection or more.
      pictured: ImageText, every row that `rows` may refer to; only key, group and picture are used. One or more.
      rows: RowByReference, the rows that are kept.
      rejected: Rejected, the rows that are dropped.
      removed: str, the reason of each caption that was removed from a kept row.
    """

    read: shuffle.PCollections
    pictured: shuffle.PCollections
    rows: beam.PCollection
    rejected: beam.PCollection
    removed: beam.PCollection


class Store(beam.PTransform):
    """Flow -> PCollection of the manifest, one dict, after everything is written.

    Writes `examples_folder`/Split-*/data_tfrecord-*.gz, and `report_folder`/manifest.json and rejects-*.jsonl.
    """

    def __init__(
        self,
        layout: writer.Layout,
        examples_folder: str,
        report_folder: str,
        unique_captions: bool = False,
        reports: beam.PCollection | None = None,
    ) -> None:
        """Stores the arguments.

        Args:
          layout: splits, shards and salt.
          examples_folder: of the shards.
          report_folder: of manifest and rejects.
          unique_captions: no two splits may share a first caption; the stage fails if they do.
          reports: elements of any type; the manifest, which is written last, waits for all of them.
        """
        super().__init__()
        self._layout, self._unique_captions, self._reports = layout, unique_captions, reports
        self._examples_folder, self._report_folder = examples_folder, report_folder

    @beam.typehints.no_annotations  # Flow is no PCollection, which Beam would warn about
    def expand(self, flow: Flow) -> beam.PCollection:
        rows = flow.rows
        spool.Spool.lie_beside(rows.pipeline, self._examples_folder)
        shards = (flow.pictured, rows) | "WriteShards" >> writer.WriteShards(self._examples_folder, self._layout)
        reject_files = flow.rejected | "WriteRejects" >> writer.WriteRejects(self._report_folder)

        reads = enumerate(shuffle.several(flow.read))
        names = [
            *(
                read | f"NameRead {number}" >> beam.FlatMap(_read) | f"Tally {number}" >> shuffle.Tally()
                for number, read in reads
            ),
            flow.rejected | "NameDropped" >> beam.Map(lambda row: (f"dropped_{row.reason}", 1)),
            flow.removed | "NameRemoved" >> beam.Map(lambda reason: (f"removed_{reason}", 1)),
            rows | "NameShared" >> _SharedCaptions(self._layout) | beam.Map(lambda name: (name, 1)),
        ]
        counts = names | "Names" >> beam.Flatten() | "Count" >> beam.CombinePerKey(sum)
        facts = {"counts": counts, "shards": shards, "reject_files": reject_files}
        if self._reports:
            facts["reports"] = self._reports
        # Joined by a key: not every engine computes a side input only once.
        keyed = {name: facts[name] | f"Key {name}" >> beam.Map(lambda fact: (None, fact)) for name in facts}
        return (
            keyed
            | "Facts" >> beam.CoGroupByKey()
            | "Manifest" >> beam.Map(_write_manifest, self._report_folder, self._unique_captions)
        )


def _read(one: Any) -> Iterator[tuple[str, int]]:
    if isinstance(one, Skipped):
        beam.metrics.Metrics.counter(stages.COUNTERS, f"skipped_{one.reason}").inc(one.count)
        yield f"skipped_{one.reason}", one.count
    yield "read", one.count if isinstance(one, Skipped) else 1


class _SharedCaptions(beam.PTransform):
    """PCollection of rows -> _SHARED for each caption in several splits, and _SHARED_FIRST if it is first in two."""

    def __init__(self, layout: writer.Layout) -> None:
        super().__init__()
        self._layout = layout

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        layout = self._layout

        def places(row: Row) -> list[tuple[str, _Place]]:
            split = layout.split_of(row.split_key)
            return [(caption, (split, place == 0)) for place, caption in enumerate(row.normalised_captions())]

        return rows | beam.FlatMap(places) | shuffle.GroupByKey() | beam.FlatMap(_shared)


_Place = tuple[str, bool]  # of a caption: its split, and whether it is the first caption of its row


def _shared(group: tuple[str, Iterable[_Place]]) -> Iterator[str]:
    places = set(group[1])
    if len({split for split, _ in places}) > 1:
        yield _SHARED
    if len({split for split, is_first in places if is_first}) > 1:
        yield _SHARED_FIRST


def _write_manifest(
    joined: tuple[None, dict[str, Iterable[Any]]], folder: str, unique_captions: bool
) -> dict[str, Any]:
    _, facts = joined
    by_name = dict(sorted(facts["counts"]))
    read = by_name.pop("read", 0)
    shared, shared_first = by_name.pop(_SHARED, 0), by_name.pop(_SHARED_FIRST, 0)
    removed, skipped = _taken(by_name, "removed_"), _taken(by_name, "skipped_")
    listed = sorted(facts["shards"], key=lambda shard: shard.file)
    splits: dict[str, int] = {}
    for shard in listed:
        splits[shard.split] = splits.get(shard.split, 0) + shard.rows
    written = sum(splits.values())
    if read != written + sum(by_name.values()) + sum(skipped.values()):
        raise LostRows(
            f"read {read} rows, but wrote {written}, dropped {by_name} and skipped {skipped}; please report this with "
            "your gin"
        )
    if unique_captions and shared_first:
        raise LostRows(
            f"{shared_first} captions lie in more than one split although captions are unique; please report this"
        )
    manifest = {
        "read": read,
        "written": written,
        "dropped": _taken(by_name, "dropped_"),
        "skipped": skipped,
        "captions_removed": removed,
        "splits": splits,
        "captions_in_several_splits": shared,
        "shards": [dataclasses.asdict(shard) for shard in listed],
        "reject_files": sorted(os.path.basename(path) for path in facts["reject_files"]),
    }
    files.write_text(os.path.join(folder, MANIFEST_FILE), json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    return manifest


def _taken(by_name: dict[str, int], prefix: str) -> dict[str, int]:
    """Removes the counts whose name has this prefix; returns them without it."""
    names = [name for name in by_name if name.startswith(prefix)]
    return {name.removeprefix(prefix): by_name.pop(name) for name in names}


_MORE_ROWS = "Bring more rows, or lower the limits in gin (Pictures.*, Captions.*, Deduper.*)"
_FIXES = {  # by the most frequent reason
    "unknown_class": "Give the rows classes of the list (EvaluationSet.classes, or class_names of the source), or "
    "correct the list",
}


def require_rows(report_folder: str, source: str) -> None:
    """Raises NoRows if a split has no row; the message counts the rows read from `source` and the rows dropped."""
    manifest = _read_manifest(report_folder)
    empty = [split for split, rows in sorted(manifest["splits"].items()) if rows == 0]
    if empty:
        rejects = _first_rejects(report_folder, manifest)
        raise NoRows(
            f"split {', '.join(empty)} has no row: {manifest['read']} read from {source}, {manifest['written']} kept, "
            f"dropped {manifest['dropped']}, skipped {manifest.get('skipped', {})}. First rejects: "
            f"{rejects or 'none'}. {_FIXES.get(_most_frequent(manifest['dropped']), _MORE_ROWS)}"
        )


def _most_frequent(dropped: dict[str, int]) -> str:
    return max(dropped, key=lambda reason: dropped[reason], default="")


def require_batch(report_folder: str, batch_size: int, variants: int) -> None:
    """Raises NoRows if a batch is larger than the train split, with at most `variants` further rows for each row."""
    manifest = _read_manifest(report_folder)
    rows = manifest["splits"]["train"]
    most = rows * (1 + variants)
    if most < batch_size:
        added = f" and at most {variants} variants of each (Augmenter.variants)" if variants else ""
        counts = f"{manifest['read']} rows were read, {manifest['written']} kept ({manifest['splits']})"
        raise NoRows(
            f"split train has {rows} rows{added}, but Training.batch_size is {batch_size}: {counts}, dropped "
            f"{manifest['dropped'] or 'none'}. Lower Training.batch_size to {most} or less, or bring more rows"
        )


def _read_manifest(folder: str) -> dict[str, Any]:
    with tf.io.gfile.GFile(os.path.join(folder, MANIFEST_FILE)) as file:
        manifest: dict[str, Any] = json.load(file)
    return manifest


def _first_rejects(folder: str, manifest: dict[str, Any], limit: int = 3) -> list[str]:
    lines: list[str] = []
    for name in manifest["reject_files"]:
        with tf.io.gfile.GFile(os.path.join(folder, name)) as file:
            for line in file:
                reject = json.loads(line)
                lines.append(f"{reject['position']}: {reject['reason']} ({reject['detail']})")
                if len(lines) == limit:
                    return lines
    return lines
