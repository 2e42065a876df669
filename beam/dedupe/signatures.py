"""Pairs of signatures that agree in enough places, found by grouping (locality-sensitive hashing).

A signature is N elements, of which two alike rows share each with a known probability: MinHash of a caption (Broder,
1997), where it is the Jaccard similarity, or the sides of random planes that an embedding lies on (Charikar, 2002),
where it is 1 - angle / pi. Cut into bands of w elements, what agrees in a whole band is compared.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics

from beam import stages
from beam.dedupe.clusters import to_smallest

PLANES = 1024
_SEED = 1
_CHUNK = 10_000  # signatures taken apart at a time
_MISSED = 1e-3  # of pairs that agree as much as they must, and no more

Elements = Callable[[bytes], np.ndarray]


def minhash_elements(signature: bytes) -> np.ndarray:
    """Of a caption's signature: uint32 [64]."""
    return np.frombuffer(signature, np.uint32)


def plane_elements(signature: bytes) -> np.ndarray:
    """Of an embedding's signature: uint8 [PLANES] of 0 and 1."""
    return np.unpackbits(np.frombuffer(signature, np.uint8))


def agreement_at(cosine: float) -> float:
    """The probability that two embeddings of that cosine lie on the same side of a random plane."""
    return 1.0 - math.acos(min(cosine, 1.0)) / math.pi


class EmbeddingSignatures:
    """Embeddings -> the sides of PLANES random planes that they lie on, as bits, PLANES / 8 bytes."""

    def __init__(self, dim: int) -> None:
        """Draws the planes, the same ones always.

        Args:
          dim: D of the embeddings.
        """
        self._planes = np.random.default_rng(_SEED).standard_normal((dim, PLANES), np.float32)

    def __call__(self, embedding: np.ndarray) -> bytes:
        """float32 [D] -> its signature; one at a time, since how many share a product changes its rounding."""
        return np.packbits(embedding @ self._planes > 0).tobytes()


def band_width(count: int, agreement: float) -> int:
    """The most elements a band may have, so that few of the pairs are lost that share each with that probability, p.

    Of `count` elements, a pair shares no band of w with probability (1 - p^w)^(count // w); one in 1,000 is accepted.
    """
    widths = [w for w in range(1, count + 1) if (1 - agreement**w) ** (count // w) <= _MISSED]
    return max(widths, default=1)


class SimilarSignatures(beam.PTransform):
    """PCollection of (signature, node) -> PCollection of edges, uint64 [E, 2], between nodes that are alike."""

    def __init__(self, elements: Elements, count: int, agreement: float, max_bucket: int) -> None:
        """Says what is alike.

        Args:
          elements: takes a signature apart.
          count: of the elements.
          agreement: share of them that must be equal.
          max_bucket: signatures that one is compared with at most, of those that share a band.
        """
        super().__init__()
        self._elements, self._agreement, self._max_bucket = elements, agreement, max_bucket
        self._width = band_width(count, agreement)

    def expand(self, signatures: beam.PCollection) -> beam.PCollection:
        by_signature = signatures | "SameSignature" >> beam.GroupByKey()
        equal = by_signature | "Equal" >> beam.FlatMap(to_smallest)
        similar = (
            by_signature
            | "Bands" >> beam.FlatMap(_bands, self._elements, self._width)
            | "SameBand" >> beam.GroupByKey()
            | "Similar" >> beam.FlatMap(_similar, self._elements, self._agreement, self._max_bucket)
        )
        return (equal, similar) | beam.Flatten()


def _bands(
    group: tuple[bytes, Iterable[int]], elements: Elements, width: int
) -> Iterator[tuple[tuple[int, bytes], tuple[bytes, int]]]:
    signature, node = group[0], min(group[1])
    values = elements(signature)
    for band in range(len(values) // width):
        part = values[band * width : (band + 1) * width]
        yield (band, np.packbits(part).tobytes() if part.dtype == np.uint8 else part.tobytes()), (signature, node)


def _similar(
    group: tuple[tuple[int, bytes], Iterable[tuple[bytes, int]]], elements: Elements, agreement: float, max_bucket: int
) -> Iterator[np.ndarray]:
    members = sorted(group[1])
    if len(members) > max_bucket + 1:
        Metrics.counter(stages.COUNTERS, "signatures_in_buckets_cut_short").inc(len(members) - max_bucket - 1)
    for start in range(0, len(members) - 1, _CHUNK):
        some = members[start : start + _CHUNK + max_bucket]
        values = np.stack([elements(signature) for signature, _ in some])
        nodes = np.array([node for _, node in some], np.uint64)
        for shift in range(1, min(len(some), max_bucket + 1)):
            count = min(_CHUNK, len(some) - shift)
            alike = (values[:count] == values[shift : shift + count]).mean(axis=1) >= agreement
            if alike.any():
                yield np.stack([nodes[:count][alike], nodes[shift : shift + count][alike]], axis=1)
