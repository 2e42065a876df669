"""The components of a TFX pipeline and what reads what, read from the pipeline itself."""

import dataclasses
import enum
import re

from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.pipeline import Pipeline

_DATA_TYPES = frozenset({"Examples", "ExampleStatistics", "Schema", "ExampleAnomalies", "siglip_tfx.DataReport"})
_TRAINING_TYPE = "ModelRun"
_COLLECTS = 0.5


class Group(enum.Enum):
    """The part of the system that a component belongs to."""

    DATA = "data plane"
    LEARNING = "learning"
    GATE = "gate and publishing"


@dataclasses.dataclass(frozen=True)
class Box:
    """A component as it is drawn.

    Attributes:
      name: its id.
      label: what it does: its docstring up to the first comma or full stop. Those of TFX name their outputs.
      group: which part of the system it belongs to.
      own: whether this project defines it; the others are TFX's own.
    """

    name: str
    label: str
    group: Group
    own: bool


@dataclasses.dataclass(frozen=True)
class Graph:
    """The DAG as it is drawn.

    Attributes:
      boxes: the components, in alphabetical order.
      arrows: pairs of names (producer, reader), sorted.
      collected: for each component that reads more than half of the others, the names that it reads. Marks on these
        boxes take the place of its arrows; only the arrow from the component before it stays.
    """

    boxes: tuple[Box, ...]
    arrows: tuple[tuple[str, str], ...]
    collected: dict[str, tuple[str, ...]]


def read(pipeline: Pipeline) -> Graph:
    """Reads boxes and arrows from the components and channels of a pipeline."""
    nodes = {component.id: component for component in pipeline.components}
    reads = {name: sorted(one.id for one in node.upstream_nodes) for name, node in sorted(nodes.items())}
    collected = {name: tuple(read) for name, read in reads.items() if len(read) > _COLLECTS * (len(nodes) - 1)}
    depth = depths(tuple(reads), [(start, end) for end, starts in reads.items() for start in starts])
    for name, read in collected.items():
        reads[name] = [max(read, key=lambda one: (depth[one], one))]
    trained = _downstream(nodes)
    boxes = [Box(name, _label(node), _group(node, name in trained), _is_own(node)) for name, node in nodes.items()]
    return Graph(
        boxes=tuple(sorted(boxes, key=lambda box: box.name)),
        arrows=tuple(sorted((start, end) for end, starts in reads.items() for start in starts)),
        collected=collected,
    )


def depths(names: tuple[str, ...], arrows: list[tuple[str, str]]) -> dict[str, int]:
    """Length of the longest path that ends at each name."""
    depth = dict.fromkeys(names, 0)
    for _ in names:
        for start, end in arrows:
            depth[end] = max(depth[end], depth[start] + 1)
    return depth


def _downstream(nodes: dict[str, BaseNode]) -> set[str]:
    """Names of the components that depend on a trained model."""
    found: set[str] = set()
    waiting = [node for node in nodes.values() if _TRAINING_TYPE in _output_types(node)]
    while waiting:
        waiting = [node for node in waiting.pop().downstream_nodes if node.id not in found] + waiting
        found.update(node.id for node in waiting)
    return found


def _group(node: BaseNode, trained: bool) -> Group:
    if trained:
        return Group.GATE
    return Group.DATA if _output_types(node) <= _DATA_TYPES else Group.LEARNING


def _label(node: BaseNode) -> str:
    if not _is_own(node):
        return f"Output: {', '.join(sorted(_output_types(node)))}"
    return re.split(r"[.,;:]\s|[.]$", (type(node).__doc__ or "").strip().split("\n")[0].replace("`", ""))[0]


def _output_types(node: BaseNode) -> set[str]:
    return {channel.type_name for channel in node.outputs.values()}


def _is_own(node: BaseNode) -> bool:
    return not type(node).__module__.startswith("tfx.")
