"""Places the boxes of a DAG in rows: a row by the longest path, an order by barycentres, positions by least squares.

Sugiyama, Tagawa and Toda, Methods for visual understanding of hierarchical system structures, 1981. An arrow that
passes a row has a point there. The arrows of one box share these points, so that they run as one line until they part.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from pipeline.drawing.graph import Graph, depths

_SWEEPS = 24
_STRAIGHTNESS = (1.0, 2.0, 8.0)
"""Weights of a link by how many of its ends are points, so that long arrows run straight (Gansner et al., 1993)."""
_TO_THE_MIDDLE = 0.12

Node = tuple[str, int]
"""A box or a point of its arrows: the name of the box, and the row."""


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where everything is.

    Attributes:
      rows: nodes of each row, from left to right.
      centres: horizontal centre of each node, in px from the left.
      links: pairs of nodes in neighbouring rows; an arrow is one link or several.
      home: row of each box.
      width: of the whole, in px.
    """

    rows: tuple[tuple[Node, ...], ...]
    centres: Mapping[Node, float]
    links: tuple[tuple[Node, Node], ...]
    home: Mapping[str, int]
    width: float

    def is_box(self, node: Node) -> bool:
        """Whether a node is a box, and no point of an arrow."""
        return self.home[node[0]] == node[1]


def place(graph: Graph, box_width: float, point_width: float, gap: float) -> Layout:
    """Places a DAG.

    Args:
      graph: what to place.
      box_width: width of a box, in px.
      point_width: room that an arrow takes in a row that it passes, in px.
      gap: room between neighbours of a row, in px.
    """
    home = _rows_of_boxes(graph)
    links = _links(graph, home)
    rows = _ordered(home, links)
    widths = {node: box_width if home[node[0]] == node[1] else point_width for row in rows for node in row}
    centres = _centres(rows, links, widths, gap)
    left = min(centres[node] - widths[node] / 2 for node in widths)
    centres = {node: centre - left for node, centre in centres.items()}
    width = max(centres[node] + widths[node] / 2 for node in widths)
    return Layout(tuple(map(tuple, rows)), centres, tuple(links), home, width)


def _rows_of_boxes(graph: Graph) -> dict[str, int]:
    """Rows by the longest path; a box with more readers than inputs is moved down to its readers."""
    names = tuple(box.name for box in graph.boxes)
    collected = [(start, end) for end, starts in graph.collected.items() for start in starts]
    row = depths(names, [*graph.arrows, *collected])
    for name in sorted(names, key=lambda one: (-row[one], one)):
        readers = [end for start, end in graph.arrows if start == name]
        inputs = [start for start, end in graph.arrows if end == name]
        if inputs and len(readers) > len(inputs):
            row[name] = min(row[reader] for reader in readers) - 1
    return row


def _links(graph: Graph, home: Mapping[str, int]) -> list[tuple[Node, Node]]:
    links = set()
    for start, end in graph.arrows:
        for row in range(home[start], home[end]):
            links.add(((start, row), (start, row + 1) if row + 1 < home[end] else (end, row + 1)))
    return sorted(links)


def _ordered(home: Mapping[str, int], links: Sequence[tuple[Node, Node]]) -> list[list[Node]]:
    """Orders each row by barycentres, down and up in turn, and keeps the order with the fewest crossings."""
    nodes = sorted({*home.items(), *itertools.chain(*links)})
    rows = [[node for node in nodes if node[1] == row] for row in range(max(home.values()) + 1)]
    best = [list(row) for row in rows]
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            rank = {node: index / max(len(one) - 1, 1) for one in rows for index, node in enumerate(one)}
            near = {node: _neighbours(node, links, down) for node in row}
            row.sort(key=lambda node, near=near, rank=rank: _mean([rank[one] for one in near[node]], rank[node]))
        _swap(rows, links)
        if _crossings(rows, links) < _crossings(best, links):
            best = [list(row) for row in rows]
    return best


def _swap(rows: list[list[Node]], links: Sequence[tuple[Node, Node]]) -> None:
    """Swaps neighbours of a row as long as arrows cross less often for it."""
    count = _crossings(rows, links)
    better = True
    while better:
        better = False
        for row, index in [(one, index) for one in rows for index in range(len(one) - 1)]:
            row[index], row[index + 1] = row[index + 1], row[index]
            if (now := _crossings(rows, links)) < count:
                count, better = now, True
            else:
                row[index], row[index + 1] = row[index + 1], row[index]


def _crossings(rows: Sequence[Sequence[Node]], links: Sequence[tuple[Node, Node]]) -> int:
    rank = {node: index for row in rows for index, node in enumerate(row)}
    pairs = ((a, b) for a, b in itertools.combinations(links, 2) if a[0][1] == b[0][1])
    return sum((rank[a[0]] - rank[b[0]]) * (rank[a[1]] - rank[b[1]]) < 0 for a, b in pairs)


def _centres(
    rows: Sequence[Sequence[Node]], links: Sequence[tuple[Node, Node]], widths: Mapping[Node, float], gap: float
) -> dict[Node, float]:
    """Minimises the squared lengths of links, row by row, with order and room kept; boxes tend to the middle."""
    centres: dict[Node, float] = {}
    for row in rows:
        rooms = [(widths[a] + widths[b]) / 2 + gap for a, b in itertools.pairwise(row)]
        places = list(itertools.accumulate(rooms, initial=0.0))
        centres |= {node: place_ - places[-1] / 2 for node, place_ in zip(row, places, strict=True)}
    pulls: dict[Node, list[tuple[Node, float]]] = {node: [] for node in centres}
    for start, end in links:
        weight = _STRAIGHTNESS[(widths[start] < gap) + (widths[end] < gap)]
        pulls[start].append((end, weight))
        pulls[end].append((start, weight))
    for _ in range(10 * _SWEEPS):
        for row in rows:
            own = [0.0 if widths[node] < gap else _TO_THE_MIDDLE for node in row]
            weights = [sum(weight for _, weight in pulls[node]) + more for node, more in zip(row, own, strict=True)]
            sums = [sum(centres[one] * weight for one, weight in pulls[node]) for node in row]
            wanted = [total / weight for total, weight in zip(sums, weights, strict=True)]
            rooms = [(widths[a] + widths[b]) / 2 + gap for a, b in itertools.pairwise(row)]
            centres |= zip(row, _separated(wanted, weights, rooms), strict=True)
    return centres


def _separated(wanted: Sequence[float], weights: Sequence[float], rooms: Sequence[float]) -> list[float]:
    """Positions nearest to the wanted ones (least squares) that leave the room between neighbours.

    Less the room to their left, positions must not fall: isotonic regression, by pooling adjacent violators.
    """
    offsets = list(itertools.accumulate(rooms, initial=0.0))
    blocks: list[tuple[float, float, int]] = []  # mean, weight, count
    for place_, weight, offset in zip(wanted, weights, offsets, strict=True):
        blocks.append((place_ - offset, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (mean, heavy, count), (other, light, more) = blocks.pop(-2), blocks.pop()
            blocks.append(((mean * heavy + other * light) / (heavy + light), heavy + light, count + more))
    means = [mean for mean, _, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _neighbours(node: Node, links: Sequence[tuple[Node, Node]], above: bool) -> list[Node]:
    return [start for start, end in links if end == node] if above else [end for start, end in links if start == node]


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default
