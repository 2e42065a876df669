"""An order of TPU chips in which every hop of the ring goes to a neighbour."""

from collections.abc import Sequence

Coordinates = tuple[int, ...]


def ring_order(coordinates: Sequence[Sequence[int]]) -> list[int]:
    """Indices of the devices in ring order: each device is a mesh neighbour of the next, and the last of the first.

    The mesh's own edges suffice, since small slices have no wrap-around links. On meshes with an odd number of chips,
    where no such ring exists, one hop is longer.

    Args:
      coordinates: x, y, z, core of each device, as in a `tf.tpu.experimental.DeviceAssignment`; a full box.
    """
    position = {tuple(int(c) for c in coordinate): index for index, coordinate in enumerate(coordinates)}
    sizes = [max(column) + 1 for column in zip(*position, strict=True)]
    box = 1
    for size in sizes:
        box *= size
    if len(position) != len(coordinates) or box != len(coordinates):  # a part of a mesh: any order is a ring
        return list(range(len(coordinates)))
    cores = sizes[-1]
    chips = _cycle(sizes[:-1])
    in_order = [(*chip, core) for chip in chips for core in range(cores)]
    return [position[point] for point in in_order]


def _cycle(sizes: Sequence[int]) -> list[Coordinates]:
    """A closed walk over all points of a box, by unit steps where the number of points is even."""
    axes = sorted(range(len(sizes)), key=lambda axis: (sizes[axis] == 1, sizes[axis] % 2, -sizes[axis]))
    rows, rest = sizes[axes[0]], [sizes[axis] for axis in axes[1:]]
    columns = _snake(rest)
    if len(columns) == 1:
        walk = [(row, columns[0]) for row in range(rows)]
    else:  # up and down the rows beside the first column, and home along it
        walk = [(0, columns[0])]
        for row in range(rows):
            walk += [(row, column) for column in (columns[1:] if row % 2 == 0 else columns[:0:-1])]
        walk += [(row, columns[0]) for row in range(rows - 1, 0, -1)]
    points = []
    for row, column in walk:
        point = [0] * len(sizes)
        for axis, value in zip(axes, (row, *column), strict=True):
            point[axis] = value
        points.append(tuple(point))
    return points


def _snake(sizes: Sequence[int]) -> list[Coordinates]:
    """All points of a box in an order of unit steps."""
    if not sizes:
        return [()]
    inner = _snake(sizes[1:])
    return [(i, *point) for i in range(sizes[0]) for point in (inner if i % 2 == 0 else inner[::-1])]
