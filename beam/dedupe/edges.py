"""Edges: which rows are alike, by every signal that the options name."""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np

from beam.dedupe.hamming import NearHashes
from beam.dedupe.options import DedupeOptions

_BANDS = 16  # each of 4 of the 64 permutations; of pairs with similarity .8 one in 4,000 shares none, and is lost


class Edges(beam.PTransform):
    """PCollection[Fingerprint] -> PCollection of edges between nodes, uint64 [E, 2], some from a node to itself."""

    def __init__(self, options: DedupeOptions) -> None:
        super().__init__()
        self._options = options

    def expand(self, prints: beam.PCollection) -> beam.PCollection:
        options = self._options
        edges = []
        if options.exact:
            edges.append(
                prints
                | "Exact" >> beam.FlatMap(lambda one: [(value, one.node) for value in one.exact])
                | "SameValue" >> beam.GroupByKey()
                | "Equal" >> beam.FlatMap(_to_smallest)
            )
        if options.image_distance >= 0:
            by_hash = (
                prints
                | "Hash" >> beam.FlatMap(lambda one: [(look, one.node) for look in one.looks])
                | "SameHash" >> beam.GroupByKey()
            )
            edges.append(by_hash | "EqualHash" >> beam.FlatMap(_to_smallest))
            distinct = by_hash | "Distinct" >> beam.Map(lambda group: (group[0][0], min(group[1]), group[0][1]))
            edges.append(
                distinct
                | "NearHashes"
                >> NearHashes(
                    options.image_distance, options.colour_tolerance, options.agreeing_bands, options.max_bucket
                )
            )
        if options.caption_similarity:
            by_signature = (
                prints
                | "Signature" >> beam.Map(lambda one: (one.signature, one.node))
                | "SameSignature" >> beam.GroupByKey()
            )
            edges.append(by_signature | "EqualSignature" >> beam.FlatMap(_to_smallest))
            edges.append(
                by_signature
                | "CaptionBands" >> beam.FlatMap(_caption_bands)
                | "SameBand" >> beam.GroupByKey()
                | "Similar" >> beam.FlatMap(_similar, options.caption_similarity, options.max_bucket)
            )
        return edges | beam.Flatten()


def _to_smallest(group: tuple[Any, Iterable[int]]) -> Iterator[np.ndarray]:
    """An edge from each node of a value to the smallest, so that a million copies give a million edges and no more."""
    nodes = np.unique(np.fromiter(group[1], np.uint64))
    if len(nodes) > 1:
        yield np.stack([nodes[1:], np.broadcast_to(nodes[0], len(nodes) - 1)], axis=1)


def _caption_bands(group: tuple[bytes, Iterable[int]]) -> Iterator[tuple[tuple[int, bytes], tuple[bytes, int]]]:
    signature, node = group[0], min(group[1])
    width = len(signature) // _BANDS
    for band in range(_BANDS):
        yield (band, signature[band * width : (band + 1) * width]), (signature, node)


def _similar(
    group: tuple[tuple[int, bytes], Iterable[tuple[bytes, int]]], similarity: float, max_bucket: int
) -> Iterator[np.ndarray]:
    members = sorted(group[1])
    if len(members) < 2:
        return
    signatures = np.frombuffer(b"".join(signature for signature, _ in members), np.uint32).reshape(len(members), -1)
    nodes = np.array([node for _, node in members], np.uint64)
    for shift in range(1, min(len(members), max_bucket + 1)):
        equal = (signatures[:-shift] == signatures[shift:]).mean(axis=1)
        alike = equal >= similarity
        if alike.any():
            yield np.stack([nodes[:-shift][alike], nodes[shift:][alike]], axis=1)
