"""Deduplicate: keeps one row of each cluster of rows that are alike, and none that is alike to an evaluation set."""

import dataclasses
import heapq
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np

from beam import shuffle, spool, stages, store, writer
from beam.dedupe import report
from beam.dedupe.clusters import Clusters
from beam.dedupe.edges import Edges
from beam.dedupe.fingerprints import Fingerprint, Fingerprints, hash_difference
from beam.dedupe.settings import DeduperSettings
from beam.filters.pictures import DecodeCheck, PictureSettings
from beam.reader import ReadShards
from beam.records import ImageText, Rejected, RowByReference

_TRAIN = "train"
_CHECK = DecodeCheck(PictureSettings(min_side=1))


class Decision(NamedTuple):
    """What to do with a row of a cluster.

    Attributes:
      drop: the reason, if the row is dropped; else None.
      kept_position: position of the row that the cluster keeps.
      captions: captions of dropped rows that the row takes over.
    """

    drop: Rejected | None
    kept_position: str
    captions: tuple[str, ...] = ()


class Deduplicate(beam.PTransform):
    """Pipeline -> PCollection of the manifest; reads a folder of Examples and writes another one without duplicates.

    A cluster keeps the row with the smallest `Fingerprint.rank`, and all rows of that row's group. If any row of a
    cluster is held out, the cluster keeps a held-out row, never a training row. The reasons for dropped rows are
    "duplicate" (same pixels as the kept row), "near_duplicate" and "contaminated_<evaluation set>". clusters.json and
    samples.json lie beside the manifest.
    """

    def __init__(self, settings: DeduperSettings, layout: writer.Layout, folders: store.Folders) -> None:
        super().__init__()
        self._settings, self._layout, self._folders = settings, layout, folders

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        settings, layout, folders = self._settings, self._layout, self._folders
        spool.Spool.lie_beside(pipeline, folders.examples)

        def held_out(row: ImageText) -> bool:
            return layout.split_of(row.split_key) != _TRAIN

        rows = pipeline | "Read" >> ReadShards(folders.source) | beam.ParDo(stages.ReportProgress("compared"))
        corpus = rows | "Fingerprint" >> Fingerprints(held_out, settings)
        sets = []
        for name, folder in sorted(settings.evaluation_sets.items()):
            read = pipeline | f"Read {name}" >> ReadShards(folder) | f"Check {name}" >> beam.Map(_decodable)
            sets.append(read | f"Fingerprint {name}" >> Fingerprints(held_out, settings, name))
        prints = (corpus, *sets) | "Fingerprints" >> shuffle.Wait() if sets else corpus

        edges = prints | Edges(settings)
        stars = edges | beam.CombineGlobally(Clusters()) | "Stars" >> beam.FlatMap(_pairs)
        by_node = prints | "ByNode" >> beam.Map(lambda one: (one.node, one))
        with_root = {"root": stars, "rows": by_node} | "Root" >> shuffle.CoGroupByKey() | beam.FlatMap(_with_root)
        clusters = with_root | "Cluster" >> shuffle.GroupByKey()
        decisions = clusters | "Decide" >> beam.FlatMap(_decisions, settings.keep_captions)
        by_key = rows | "ByKey" >> beam.Map(lambda row: (row.key, row.by_reference()))
        kept = (
            {"row": by_key, "decision": decisions}
            | "Decision" >> shuffle.CoGroupByKey()
            | "Apply" >> beam.FlatMap(_apply)
            | stages.Separate()
        )
        no_caption = pipeline | "NoCaption" >> beam.Create([])
        reports = report.Facts(clusters, decisions, prints) | "Report" >> report.WriteReport(folders.report)
        flow = store.Flow(rows, rows, kept.rows, kept.rejected, removed=no_caption)
        return flow | "Store" >> store.Store(layout, folders.examples, folders.report, reports=reports)


def _decodable(row: ImageText) -> ImageText:
    """Returns a row of an evaluation set with its picture in the form in which the build stores pictures.

    Other tools may have made the set, so this is not known beforehand.

    Raises:
      ValueError: the picture cannot be decoded, so no row could be compared with it.
    """
    outcome = _CHECK(row)
    if isinstance(outcome, Rejected):
        raise ValueError(
            f"Deduper.evaluation_sets: {row.position}: {outcome.reason} ({outcome.detail}), but every picture of "
            "the set must be decodable; remove the row, or make the set with `python -m pipeline.build`, which drops it"
        )
    return outcome


def _pairs(stars: np.ndarray) -> Iterator[tuple[int, int]]:
    yield from ((int(node), int(root)) for node, root in stars)


def _with_root(group: tuple[int, dict[str, Iterable[Any]]]) -> Iterator[tuple[int, Fingerprint]]:
    for root in group[1]["root"]:
        for one in group[1]["rows"]:
            yield root, one


def _decisions(cluster: tuple[int, Iterable[Fingerprint]], most: int) -> Iterator[tuple[str, Decision]]:
    _, rows = cluster
    best = min(rows, key=lambda one: one.rank)
    captions = _captions_to_take(best, rows, most) if most else {}
    for one in rows:
        if one.evaluation_set:
            continue
        if one.node != best.node:
            yield one.key, Decision(Rejected(one.key, one.position, *_reason(one, best)), best.position)
        elif one.key in captions:
            yield one.key, Decision(None, best.position, captions[one.key])


def _captions_to_take(best: Fingerprint, rows: Iterable[Fingerprint], most: int) -> dict[str, tuple[str, ...]]:
    """Chooses captions of dropped rows for the kept rows of a cluster.

    In each language, the kept row of the smallest rank takes over up to `most` captions of that language from dropped
    rows, smallest rank first. Captions that a kept row has are left out. Memory does not grow with the cluster.

    Returns:
      {key of a kept row: captions to take over}.
    """
    takers: dict[str, Fingerprint] = {}
    own: set[str] = set()
    for one in rows:
        if one.node == best.node:
            own.update(one.captions)
            takers[one.language] = min(one, takers.get(one.language, one), key=lambda each: each.rank)
    found: dict[str, dict[str, tuple]] = {language: {} for language in takers}
    for one in rows:
        if one.node == best.node or one.language not in found:
            continue
        ranks = found[one.language]
        for caption in one.captions:
            if caption not in own:
                ranks[caption] = min(one.rank, ranks.get(caption, one.rank))
        if len(ranks) > 100 * most:
            found[one.language] = _smallest(ranks, most)
    return {one.key: tuple(_smallest(found[language], most)) for language, one in takers.items() if found[language]}


def _smallest(ranks: dict[str, tuple], most: int) -> dict[str, tuple]:
    return dict(heapq.nsmallest(most, ranks.items(), key=lambda item: (item[1], item[0])))


def _reason(one: Fingerprint, best: Fingerprint) -> tuple[str, str]:
    where = f"{best.key} at {best.position}"
    if one.pixels == best.pixels:
        reason, detail = "duplicate", f"has the same pixels as {where}"
    else:
        bits = hash_difference(one, best)
        reason = "near_duplicate"
        detail = f"is in the cluster of {where}" + (f"; {bits} of 64 bits differ" if bits is not None else "")
    return (f"contaminated_{best.evaluation_set}" if best.evaluation_set else reason), detail


def _apply(group: tuple[str, dict[str, Iterable[Any]]]) -> Iterator[RowByReference | Rejected]:
    row: RowByReference
    (row,) = group[1]["row"]
    for decision in group[1]["decision"]:
        more = [caption for caption in decision.captions if caption not in row.more_captions]
        yield decision.drop or dataclasses.replace(row, more_captions=(*row.more_captions, *more))
        return
    yield row
