"""Edges: joins rows that are alike by any of the signals that the settings choose."""

from collections.abc import Callable

import apache_beam as beam

from beam import shuffle
from beam.dedupe import signatures
from beam.dedupe.clusters import to_smallest
from beam.dedupe.fingerprints import PERMUTATIONS, Fingerprint
from beam.dedupe.hamming import NearHashes
from beam.dedupe.settings import DeduperSettings


class Edges(beam.PTransform):
    """PCollection[Fingerprint] -> PCollection of edges between nodes, uint64 [E, 2]; some join a node to itself."""

    def __init__(self, settings: DeduperSettings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, prints: beam.PCollection) -> beam.PCollection:
        settings = self._settings
        edges = []
        if settings.exact:
            edges.append(
                prints
                | "Exact" >> beam.FlatMap(lambda one: [(value, one.node) for value in one.exact])
                | "SameValue" >> shuffle.GroupByKey()
                | "Equal" >> beam.FlatMap(to_smallest)
            )
        if settings.image_distance >= 0:
            by_hash = (
                prints
                | "Hash" >> beam.FlatMap(lambda one: [(look, one.node) for look in one.looks])
                | "SameHash" >> shuffle.GroupByKey()
            )
            edges.append(by_hash | "EqualHash" >> beam.FlatMap(to_smallest))
            distinct = by_hash | "Distinct" >> beam.Map(lambda group: (group[0][0], min(group[1]), group[0][1]))
            edges.append(
                distinct
                | "NearHashes"
                >> NearHashes(
                    settings.image_distance, settings.colour_tolerance, settings.agreeing_bands, settings.max_bucket
                )
            )
        if settings.caption_similarity:
            similar = signatures.SimilarSignatures(
                signatures.minhash_elements, PERMUTATIONS, settings.caption_similarity, settings.max_bucket
            )
            of_caption = _with_node(lambda one: one.caption_signature)
            edges.append(prints | "Captions" >> of_caption | "AlikeCaptions" >> similar)
        if settings.embedding_similarity:
            agreement = signatures.agreement_at(settings.embedding_similarity)
            similar = signatures.SimilarSignatures(
                signatures.plane_elements, signatures.PLANES, agreement, settings.max_bucket
            )
            of_embedding = _with_node(lambda one: one.embedding_signature)
            edges.append(prints | "Embeddings" >> of_embedding | "AlikeEmbeddings" >> similar)
        return edges | beam.Flatten()


def _with_node(signature: Callable[[Fingerprint], bytes]) -> beam.PTransform:
    return beam.Map(lambda one: (signature(one), one.node))
