"""Finds all pairs of 64-bit hashes that differ in few bits, without comparing all pairs.

Hashes are cut into r + k bands. Two hashes that differ in at most r bits then agree in at least k bands. So hashes are
grouped by every choice of k bands, and only those in one group are compared (Manku, Jain, Das Sarma, WWW 2007,
section 3). Only a group of more than `max_bucket` hashes can lose pairs.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics

from beam import shuffle, stages

PARTITIONS = 16
_CHUNK = 20_000
_PARTITION_BITS = 6  # 64 partitions for each mask, so that 64 workers can compare
_BITS_IN_BYTE = np.array([bin(value).count("1") for value in range(256)], np.uint8)


class Hashes(NamedTuple):
    """Many hashes: values, uint64 [N]; their nodes, uint64 [N]; mean colours, uint8 [N, C], where C may be 0."""

    values: np.ndarray
    nodes: np.ndarray
    colours: np.ndarray


def masks(distance: int, agreeing_bands: int) -> list[int]:
    """Returns a 64-bit mask for each choice of `agreeing_bands` out of `distance + agreeing_bands` bands."""
    bands = np.array_split(np.arange(64), distance + agreeing_bands)
    bits = [sum(1 << int(bit) for bit in band) for band in bands]
    return [sum(chosen) for chosen in itertools.combinations(bits, agreeing_bands)]


def differing_bits(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the Hamming distances, int64 [N], of two arrays, uint64 [N]."""
    return _BITS_IN_BYTE[(first ^ second).view(np.uint8).reshape(-1, 8)].sum(axis=1, dtype=np.int64)


class NearHashes(beam.PTransform):
    """PCollection of (hash as 8 bytes, node, colours) -> PCollection of edges, uint64 [E, 2], between near nodes.

    Hashes should be distinct, since grouping finds equal ones at less cost.
    """

    def __init__(
        self, distance: int, colour_tolerance: int = 255, agreeing_bands: int = 2, max_bucket: int = 4096
    ) -> None:
        """See `beam.dedupe.settings.DeduperSettings` for the arguments."""
        super().__init__()
        self._masks = masks(distance, agreeing_bands)
        self._compare = _Compare(self._masks, distance, colour_tolerance, max_bucket)

    def expand(self, hashes: beam.PCollection) -> beam.PCollection:
        return (
            hashes
            | beam.BatchElements(min_batch_size=1000, max_batch_size=_CHUNK)
            | "Bands" >> beam.FlatMap(_partition, self._masks)
            | shuffle.GroupByKey()
            | "Compare" >> beam.ParDo(self._compare)
        )


def _partition(
    batch: list[tuple[bytes, int, bytes]], band_masks: list[int]
) -> Iterator[tuple[tuple[int, int], Hashes]]:
    values, nodes, colours = zip(*batch, strict=True)
    hashes = Hashes(
        np.frombuffer(b"".join(values), ">u8").astype(np.uint64),
        np.array(nodes, np.uint64),
        np.frombuffer(b"".join(colours), np.uint8).reshape(len(batch), -1),
    )
    for number, mask in enumerate(band_masks):
        keys = hashes.values & np.uint64(mask)
        # The product spreads the few bits of the mask over the upper bits (Fibonacci hashing).
        partitions = (keys * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - _PARTITION_BITS)
        for partition in np.unique(partitions):
            here = partitions == partition
            yield (number, int(partition)), Hashes(*(column[here] for column in hashes))


class _Compare(beam.DoFn):
    """((number of the mask, partition), parts of Hashes) -> edges between near hashes with equal masked bits."""

    def __init__(self, band_masks: list[int], distance: int, colour_tolerance: int, max_bucket: int) -> None:
        self._masks, self._distance = band_masks, distance
        self._colour_tolerance, self._max_bucket = colour_tolerance, max_bucket
        self._compared = Metrics.counter(stages.COUNTERS, "pairs_compared")
        self._skipped = Metrics.counter(stages.COUNTERS, "pictures_in_buckets_cut_short")

    def process(self, group: tuple[tuple[int, int], Iterable[Hashes]]) -> Iterator[np.ndarray]:
        (number, _), parts = group
        columns = zip(*parts, strict=True)
        values, nodes, colours = (np.concatenate(column) for column in columns)
        keys = values & np.uint64(self._masks[number])
        order = np.lexsort((nodes, values, keys))
        keys, values, nodes, colours = keys[order], values[order], nodes[order], colours[order]
        # Compare each hash with the ones after it that have the same key.
        first = np.arange(len(keys))
        for shift in range(1, self._max_bucket + 1):
            first = first[first + shift < len(keys)]
            first = first[keys[first] == keys[first + shift]]
            if not len(first):
                return
            self._compared.inc(len(first))
            yield from self._near(values, nodes, colours, first, first + shift)
        self._skipped.inc(len(first))

    def _near(
        self, values: np.ndarray, nodes: np.ndarray, colours: np.ndarray, first: np.ndarray, second: np.ndarray
    ) -> Iterator[np.ndarray]:
        near = differing_bits(values[first], values[second]) <= self._distance
        first, second = first[near], second[near]
        if self._colour_tolerance < 255 and len(first):
            apart = np.abs(colours[first].astype(int) - colours[second]).max(axis=1)
            alike = apart <= self._colour_tolerance
            first, second = first[alike], second[alike]
        if len(first):
            yield np.stack([nodes[first], nodes[second]], axis=1)
