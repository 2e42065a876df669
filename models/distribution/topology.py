"""Orders TPU chips in a ring in which every hop goes to a neighbour."""

from collections.abc import Sequence

Coordinates = tuple[int, ...]


def ring_order(coordinates: Sequence[Sequence[int]]) -> list[int]:
    """Returns device indices in ring order: each device is a mesh neighbour of the next, and the last of the first.

    The ring uses no wrap-around links, since small slices have none. A mesh with an odd number of chips has no such
    ring; there, one hop is longer.

    Args:
      coordinates: x, y, z, core of each device, as in a `tf.tpu.experimental.DeviceAssignment`. If they do not fill a
        box, the order stays as it is.
    """
    position = {tuple(int(c) for c in coordinate): index for index, coordinate in enumerate(coordinates)}
    sizes = [max(column) + 1 for column in zip(*position, strict=True)]
    box = 1
    for size in sizes:
        box *= size
    if len(position) != len(coordinates) or box != len(coordinates):  # a part of a mesh
        return list(range(len(coordinates)))
    cores = sizes[-1]
    chips = _cycle(sizes[:-1])
    in_order = [(*chip, core) for chip in chips for core in range(cores)]
    return [position[point] for point in in_order]


def _cycle(sizes: Sequence[int]) -> list[Coordinates]:
    """A closed walk over all points of a box; every step is a unit step if the number of points is even."""
    axes = sorted(range(len(sizes)), key=lambda axis: (sizes[axis] == 1, sizes[axis] % 2, -sizes[axis]))
    rows, rest = sizes[axes[0]], [sizes[axis] for axis in axes[1:]]
    columns = _snake(rest)
    if len(columns) == 1:
        walk = [(row, columns[0]) for row in range(rows)]
    else:  # a snake through all columns but the first, and back along the first
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
    """Orders all points of a box so that each step is a unit step."""
    if not sizes:
        return [()]
    inner = _snake(sizes[1:])
    return [(i, *point) for i in range(sizes[0]) for point in (inner if i % 2 == 0 else inner[::-1])]
