"""Finds pairs of similar signatures by locality-sensitive hashing, without comparing all pairs.

A signature has N elements. Two rows agree in each element with a probability p that measures their similarity. For
MinHash of captions (Broder, 1997), p is the Jaccard similarity. For an embedding's sides of random planes (Charikar,
2002), p is 1 - angle / pi. Signatures are cut into bands of w elements, and only rows that agree in a whole band are
compared.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics

from beam import shuffle, stages
from beam.dedupe.clusters import to_smallest

PLANES = 1024
_SEED = 1
_CHUNK = 10_000  # signatures compared at a time
_MISSED = 1e-3  # share of lost pairs among those right at the threshold

Elements = Callable[[bytes], np.ndarray]


def minhash_elements(signature: bytes) -> np.ndarray:
    """Returns the elements of a caption's signature, uint32 [64]."""
    return np.frombuffer(signature, np.uint32)


def plane_elements(signature: bytes) -> np.ndarray:
    """Returns the elements of an embedding's signature, uint8 [PLANES] of 0 and 1."""
    return np.unpackbits(np.frombuffer(signature, np.uint8))


def agreement_at(cosine: float) -> float:
    """Returns the probability that two embeddings with this cosine lie on the same side of a random plane."""
    return 1.0 - math.acos(min(cosine, 1.0)) / math.pi


class EmbeddingSignatures:
    """Makes signatures of embeddings: one bit for the side of each of PLANES random planes, PLANES / 8 bytes."""

    def __init__(self, dim: int) -> None:
        """Draws the planes from a fixed seed.

        Args:
          dim: size of the embeddings, D.
        """
        self._planes = np.random.default_rng(_SEED).standard_normal((dim, PLANES), np.float32)

    def __call__(self, embedding: np.ndarray) -> bytes:
        """Returns the signature of one embedding, float32 [D]; in a batch, its rounding would depend on the others."""
        return np.packbits(embedding @ self._planes > 0).tobytes()


def band_width(count: int, agreement: float) -> int:
    """Returns the largest band width w that loses at most one in 1,000 pairs that agree in a share p of elements.

    A pair agrees in no band with probability (1 - p^w)^(count // w), where p is `agreement`.
    """
    widths = [w for w in range(1, count + 1) if (1 - agreement**w) ** (count // w) <= _MISSED]
    return max(widths, default=1)


class SimilarSignatures(beam.PTransform):
    """PCollection of (signature, node) -> PCollection of edges, uint64 [E, 2], between nodes of similar signatures."""

    def __init__(self, elements: Elements, count: int, agreement: float, max_bucket: int) -> None:
        """Sets when two signatures are similar.

        Args:
          elements: returns the elements of a signature.
          count: number of elements.
          agreement: share of the elements that must be equal.
          max_bucket: each signature is compared with at most so many others that agree with it in a band.
        """
        super().__init__()
        self._elements, self._agreement, self._max_bucket = elements, agreement, max_bucket
        self._width = band_width(count, agreement)

    def expand(self, signatures: beam.PCollection) -> beam.PCollection:
        by_signature = signatures | "SameSignature" >> shuffle.GroupByKey()
        equal = by_signature | "Equal" >> beam.FlatMap(to_smallest)
        similar = (
            by_signature
            | "Bands" >> beam.FlatMap(_bands, self._elements, self._width)
            | "SameBand" >> shuffle.GroupByKey()
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
