"""Edges -> clusters: the connected components of the graph in which edges join rows that are alike."""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
from scipy import sparse

_COMPACT_AT = 1_000_000
_EDGE: np.ndarray = np.empty([0, 2], np.uint64)


def stars(edges: np.ndarray) -> np.ndarray:
    """Edges, uint64 [E, 2] -> uint64 [M, 2]: (node, smallest node of its component) for each node, sorted."""
    nodes, index = np.unique(edges, return_inverse=True)
    index = index.reshape(-1, 2)
    graph = sparse.coo_array((np.ones(len(index), bool), (index[:, 0], index[:, 1])), shape=(len(nodes), len(nodes)))
    _, component = sparse.csgraph.connected_components(graph, directed=False)
    _, smallest = np.unique(component, return_index=True)  # nodes are sorted, so the first one is the smallest
    return np.stack([nodes, nodes[smallest[component]]], axis=1)


def to_smallest(group: tuple[Any, Iterable[int]]) -> Iterator[np.ndarray]:
    """Links each node of a group to the smallest one, so that a million copies give only a million edges."""
    nodes = np.unique(np.fromiter(group[1], np.uint64))
    if len(nodes) > 1:
        yield np.stack([nodes[1:], np.broadcast_to(nodes[0], len(nodes) - 1)], axis=1)


class Clusters(beam.CombineFn):
    """Combines edges, uint64 [E, 2] each, into the stars of all edges; their order does not matter.

    An accumulator holds the stars of its edges, 16 bytes for each row that has a duplicate. The last accumulator holds
    all of them, so a worker can take about a billion such rows.
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
