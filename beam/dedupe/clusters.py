"""Edges -> clusters: the connected components of what is alike."""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
from scipy import sparse

_COMPACT_AT = 1_000_000
_EDGE = np.empty([0, 2], np.uint64)


def stars(edges: np.ndarray) -> np.ndarray:
    """uint64 [E, 2] -> [M, 2]: each node of an edge, beside the smallest node that it is connected with; sorted."""
    nodes, index = np.unique(edges, return_inverse=True)
    index = index.reshape(-1, 2)
    graph = sparse.coo_array((np.ones(len(index), bool), (index[:, 0], index[:, 1])), shape=(len(nodes), len(nodes)))
    _, component = sparse.csgraph.connected_components(graph, directed=False)
    _, smallest = np.unique(component, return_index=True)  # nodes are sorted, so the first is the smallest
    return np.stack([nodes, nodes[smallest[component]]], axis=1)


def to_smallest(group: tuple[Any, Iterable[int]]) -> Iterator[np.ndarray]:
    """An edge from each node of a value to the smallest, so that a million copies give a million edges and no more."""
    nodes = np.unique(np.fromiter(group[1], np.uint64))
    if len(nodes) > 1:
        yield np.stack([nodes[1:], np.broadcast_to(nodes[0], len(nodes) - 1)], axis=1)


class Clusters(beam.CombineFn):
    """Edges, uint64 [E, 2] each -> the stars of all, whatever the order they come in.

    An accumulator keeps the stars of what it has seen, 16 bytes a row that has a duplicate: the last of them holds
    all of these, which fits a worker up to about a billion such rows.
    """

    def create_accumulator(self) -> list[np.ndarray]:
        return []

    def add_input(self, accumulator: list[np.ndarray], edges: np.ndarray) -> list[np.ndarray]:
        accumulator.append(edges)
        return self.compact(accumulator) if sum(map(len, accumulator)) > _COMPACT_AT else accumulator

    def merge_accumulators(self, accumulators: Iterable[list[np.ndarray]]) -> list[np.ndarray]:
        return [edges for accumulator in accumulators for edges in accumulator]

    def compact(self, accumulator: list[np.ndarray]) -> list[np.ndarray]:
        return [stars(np.concatenate(accumulator))] if accumulator else []

    def extract_output(self, accumulator: list[np.ndarray]) -> np.ndarray:
        return stars(np.concatenate([_EDGE, *accumulator]))
