"""Draws a placed DAG as SVG, for light and dark pages."""

import itertools
import textwrap
from xml.sax.saxutils import escape

from pipeline.drawing import layout
from pipeline.drawing.graph import Box, Graph, Group

_BOX_WIDTH, _NAME_HEIGHT, _LABEL_HEIGHT = 208, 38, 14
_POINT_WIDTH, _GAP, _ROW_GAP = 8, 20, 36
_MARGIN, _LEGEND_HEIGHT = 24, 62
_LINE_LENGTH, _LINES = 34, 3
_PORT_GAP, _STRAIGHTENED = 26, 12

_STYLE = """
svg { --page: #ffffff; --edge: #d0d7de; --text: #1f2328; --soft: #59636e; --arrow: #818b98;
  --data: #0969da; --data-fill: #ddf4ff; --learning: #8250df; --learning-fill: #fbefff;
  --gate: #1a7f37; --gate-fill: #dafbe1; }
@media (prefers-color-scheme: dark) { svg { --page: #0d1117; --edge: #3d444d; --text: #f0f6fc; --soft: #a9b4c0;
  --arrow: #7d8590; --data: #4493f8; --data-fill: #0c2d5a; --learning: #ab7df8; --learning-fill: #2f1d5c;
  --gate: #3fb950; --gate-fill: #0f3a20; } }
text { font-family: -apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif; fill: var(--text); }
.page { fill: var(--page); stroke: var(--edge); }
.name { font-size: 14px; font-weight: 600; text-anchor: middle; }
.label { font-size: 11px; fill: var(--soft); text-anchor: middle; }
.legend { font-size: 12px; }
.box { stroke-width: 1.5; }
.tfx { fill: var(--page) !important; stroke-dasharray: 5 3; }
.arrow { fill: none; stroke: var(--arrow); stroke-width: 1.5; }
.head { fill: var(--arrow); }
.data { stroke: var(--data); fill: var(--data-fill); }
.learning { stroke: var(--learning); fill: var(--learning-fill); }
.gate { stroke: var(--gate); fill: var(--gate-fill); }
.mark { fill: var(--gate); }
"""


def draw(graph: Graph, title: str) -> str:
    """The DAG as an SVG document.

    Args:
      graph: what to draw.
      title: what a screen reader says of it.
    """
    picture = _Picture(graph)
    width, height = picture.width, picture.height
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img"><title>{escape(title)}</title>',
        f"<style>{_STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'markerUnits="userSpaceOnUse" orient="auto"><path class="head" d="M0 0.5 L8 4 L0 7.5 z"/></marker></defs>',
        f'<rect class="page" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>',
        *_legend(graph),
        *picture.arrows(),
        *picture.boxes(),
    ]
    return "\n".join([*lines, "</svg>", ""])


class _Picture:
    """A placed DAG, with the top and the height of each row; a row is as high as its longest label asks for."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._labels = {
            box.name: textwrap.wrap(box.label, _LINE_LENGTH, max_lines=_LINES, placeholder=" …") for box in graph.boxes
        }
        self._placed = placed = layout.place(graph, _BOX_WIDTH, _POINT_WIDTH, _GAP)
        lines = [max(len(self._labels[node[0]]) for node in row if placed.is_box(node)) for row in placed.rows]
        self._heights = [_NAME_HEIGHT + _LABEL_HEIGHT * count for count in lines]
        steps = (height + _ROW_GAP for height in self._heights)
        self._tops = list(itertools.accumulate(steps, initial=_MARGIN + _LEGEND_HEIGHT))
        self.width = round(placed.width) + 2 * _MARGIN
        self.height = self._tops[-1] - _ROW_GAP + _MARGIN

    def boxes(self) -> list[str]:
        """Frames, names, labels and marks."""
        marked = {name for read in self._graph.collected.values() for name in read}
        lines = []
        for box in self._graph.boxes:
            row = self._placed.home[box.name]
            left = round(self._placed.centres[box.name, row] - _BOX_WIDTH / 2) + _MARGIN
            lines += self._box(box, left, row)
            if box.name in marked:
                lines.append(
                    f'<circle class="mark" cx="{left + _BOX_WIDTH - 10}" cy="{self._tops[row] + 10}" r="3.5"/>'
                )
        return lines

    def _box(self, box: Box, left: int, row: int) -> list[str]:
        labels, height = self._labels[box.name], self._heights[row]
        middle = left + _BOX_WIDTH // 2
        baseline = self._tops[row] + (height - _LABEL_HEIGHT * len(labels)) // 2 + 4
        lines = [_frame(box.group, box.own, left, self._tops[row], _BOX_WIDTH, height)]
        lines.append(f'<text class="name" x="{middle}" y="{baseline}">{escape(box.name)}</text>')
        for index, label in enumerate(labels):
            lower = baseline + 18 + _LABEL_HEIGHT * index
            lines.append(f'<text class="label" x="{middle}" y="{lower}">{escape(label)}</text>')
        return lines

    def arrows(self) -> list[str]:
        """A curve for each link. It ends in a head at a box, and goes straight on through a row that it passes."""
        lines = []
        for start, end in self._placed.links:
            from_x, to_x = self._port(start, end, arriving=False), self._port(start, end, arriving=True)
            if abs(from_x - to_x) <= _STRAIGHTENED:  # a box, but no point, may be met a little beside its port
                to_x = from_x if self._placed.is_box(end) else to_x
                from_x = to_x if self._placed.is_box(start) else from_x
            from_y, to_y = self._tops[start[1]] + self._heights[start[1]], self._tops[end[1]]
            middle = (from_y + to_y) // 2
            path = f"M{from_x} {from_y} C{from_x} {middle} {to_x} {middle} {to_x} {to_y}"
            if self._placed.is_box(end):
                lines.append(f'<path class="arrow" d="{path}" marker-end="url(#head)"/>')
            else:
                lines.append(f'<path class="arrow" d="{path} V{to_y + self._heights[end[1]]}"/>')
        return lines

    def _port(self, start: layout.Node, end: layout.Node, arriving: bool) -> int:
        """Where a link meets its node. Links of a box lie side by side, in the order of their other ends."""
        node, links = end if arriving else start, self._placed.links
        centre = self._placed.centres[node] + _MARGIN
        if not self._placed.is_box(node):
            return round(centre)
        others = [first if arriving else last for first, last in links if (last if arriving else first) == node]
        others.sort(key=self._placed.centres.__getitem__)
        index = others.index(start if arriving else end)
        return round(centre + _PORT_GAP * (index - (len(others) - 1) / 2))


def _frame(group: Group, own: bool, left: int, top: int, width: int, height: int) -> str:
    kind = f"box {group.name.lower()}" + ("" if own else " tfx")
    return f'<rect class="{kind}" x="{left}" y="{top}" width="{width}" height="{height}" rx="6"/>'


def _mark(x: int, y: int) -> str:
    return f'<circle class="mark" cx="{x}" cy="{y}" r="3.5"/>'


def _legend(graph: Graph) -> list[str]:
    """What colours, dashes and marks mean, in two lines."""
    lines, left = [], _MARGIN
    for group in Group:
        lines += _entry(_frame(group, True, left, _MARGIN, 22, 14), group.value, left, _MARGIN)
        left += 60 + 7 * len(group.value)
    left, top = _MARGIN, _MARGIN + 24
    lines += _entry(_frame(Group.DATA, False, left, top, 22, 14), "dashed: TFX's own component", left, top)
    for name in graph.collected:
        left += 250
        lines += _entry(
            f'<circle class="mark" cx="{left + 11}" cy="{top + 7}" r="3.5"/>', f"{name} reads it, too", left, top
        )
    return lines


def _entry(sign: str, text: str, left: int, top: int) -> list[str]:
    return [sign, f'<text class="legend" x="{left + 30}" y="{top + 11}">{escape(text)}</text>']
