"""The report of deduplication: clusters.json has cluster sizes and evaluation sets, samples.json pairs of pictures."""

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam

from beam import reader, thumbnails
from beam.records import salted_hash
from beam.store import SAMPLES_FILE
from models import files

CLUSTERS_FILE = "clusters.json"
_SAMPLES = 12


class Facts(NamedTuple):
    """What the report is made from.

    Attributes:
      clusters: PCollection of (root of the cluster, its Fingerprints).
      decisions: PCollection of (key, Decision).
      prints: PCollection of Fingerprint.
    """

    clusters: beam.PCollection
    decisions: beam.PCollection
    prints: beam.PCollection


class WriteReport(beam.PTransform):
    """Facts -> PCollection of the folder, once clusters.json and samples.json are in it."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    @beam.typehints.no_annotations  # else Beam warns that Facts is not a PCollection
    def expand(self, facts: Facts) -> beam.PCollection:
        in_clusters = facts.clusters | "CountCluster" >> beam.FlatMap(_count)
        in_sets = facts.prints | "Sets" >> beam.FlatMap(
            lambda one: [("rows", one.evaluation_set)] if one.evaluation_set else []
        )
        counts = [in_clusters, in_sets] | "AllCounts" >> beam.Flatten() | beam.combiners.Count.PerElement()
        return (
            facts.decisions
            | "Dropped" >> beam.Filter(lambda keyed: keyed[1].drop is not None)
            | "Some" >> beam.combiners.Top.Smallest(_SAMPLES, key=lambda keyed: salted_hash(keyed[0], "sample"))
            | "Write" >> beam.Map(_write, self._folder, beam.pvalue.AsList(counts))
        )


def _count(cluster: tuple[int, Iterable[Any]]) -> Iterator[tuple[str, Any]]:
    sets = [one.evaluation_set for one in cluster[1]]
    if "" in sets:
        yield "sizes", len(sets)
        yield from (("found", name) for name in sets if name)


def _thumbnails(samples: list[tuple[str, Any]]) -> dict[str, dict[str, str]]:
    """Reads the sampled rows from their shards again; returns {position: what the report shows of the row}."""
    wanted = {place for _, decision in samples for place in (decision.drop.position, decision.kept_position)}
    return {
        row.position: {"key": row.key, "caption": row.caption, "image": thumbnails.data_address(row.image)}
        for row in reader.read_at(wanted)
    }


def _write(samples: list[tuple[str, Any]], folder: str, counts: Iterable[tuple[tuple[str, Any], int]]) -> str:
    shown = _thumbnails(samples)
    by_kind: dict[str, dict[Any, int]] = {"sizes": {}, "rows": {}, "found": {}}
    for (kind, name), count in sorted(counts):
        by_kind[kind][name] = count
    clusters = {
        "clusters": sum(by_kind["sizes"].values()),
        "sizes": by_kind["sizes"],
        "evaluation_sets": {
            name: {"rows": rows, "found": by_kind["found"].get(name, 0)} for name, rows in by_kind["rows"].items()
        },
    }
    pairs = [
        {
            "kept": shown[decision.kept_position],
            "dropped": shown[decision.drop.position],
            "reason": decision.drop.reason,
            "detail": decision.drop.detail,
        }
        for _, decision in samples
    ]
    files.write_text(os.path.join(folder, CLUSTERS_FILE), json.dumps(clusters, indent=1, sort_keys=True) + "\n")
    files.write_text(os.path.join(folder, SAMPLES_FILE), json.dumps(pairs, indent=1, sort_keys=True) + "\n")
    return folder
