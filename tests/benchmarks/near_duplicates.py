"""The search for near-duplicates takes about ten times as long among ten times as many hashes."""

from collections.abc import Callable

import numpy as np

from tests.beam.dedupe.in_memory import near_edges
from tests.benchmarks.measure import Ratio, ratio


def run(rounds: int) -> list[Ratio]:
    """The ratios."""
    found = []
    for rows in (10_000, 100_000):
        name = f"near duplicates among {10 * rows:,} hashes / 10 x {rows:,}"
        count = rounds if rows < 100_000 else min(rounds, 3)
        found.append(ratio(name, _near(10 * rows), _tenfold(_near(rows)), count, limit=1.5))
    return found


def _near(rows: int) -> Callable[[], int]:
    """A function that finds the near pairs among random hashes; one hash in ten has a near one."""
    draw = np.random.default_rng(rows)
    values = draw.integers(0, 2**64, rows, dtype=np.uint64)
    flipped = np.uint64(1) << draw.integers(0, 64, rows // 10).astype(np.uint64)
    values[: rows // 10] = values[-(rows // 10) :] ^ flipped
    no_colours = [b""] * rows

    def find() -> int:
        return len(near_edges(values, no_colours, 4))

    assert find() >= rows // 10
    return find


def _tenfold(work: Callable[[], int]) -> Callable[[], None]:
    def repeat() -> None:
        for _ in range(10):
            work()

    return repeat
