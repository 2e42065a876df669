"""Ratios of the times of two functions, measured in turn, and the noise of the machine."""

import dataclasses
import statistics
import time
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Ratio:
    """The time of `ours`, divided by the time of `baseline`.

    Attributes:
      name: what is compared.
      median: the median of the ratios of all rounds; 1 is the baseline.
      low, high: the quartiles of the ratios.
      noise: half the distance between the quartiles of the baseline against itself: the ratio that means no change.
      limit: the largest median that the project claims; infinite for no claim.
    """

    name: str
    median: float
    low: float
    high: float
    noise: float
    limit: float = float("inf")

    def __str__(self) -> str:
        claim = f", at most {self.limit}: {'kept' if self.kept else 'EXCEEDED'}" if self.limit < float("inf") else ""
        return f"{self.name}: {self.median:.3f} [{self.low:.3f}, {self.high:.3f}], noise +-{self.noise:.3f}{claim}"

    @property
    def kept(self) -> bool:
        """Whether the median is at most the limit."""
        return self.median <= self.limit


def ratio(
    name: str, ours: Callable[[], object], baseline: Callable[[], object], rounds: int, limit: float = float("inf")
) -> Ratio:
    """Times both in turn, in an order that alternates; one round before that does not count."""
    ours(), baseline()
    ratios, noise = [], []
    for number in range(rounds):
        first, second = (ours, baseline) if number % 2 else (baseline, ours)
        times = {first: _seconds(first), second: _seconds(second)}
        ratios.append(times[ours] / times[baseline])
        noise.append(_seconds(baseline) / times[baseline])
    low, median, high = statistics.quantiles(ratios, n=4)
    noise_low, _, noise_high = statistics.quantiles(noise, n=4)
    return Ratio(name, median, low, high, (noise_high - noise_low) / 2, limit)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
