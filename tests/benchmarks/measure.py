"""Ratios of two things timed in turn, with the noise of the machine beside them."""

import dataclasses
import statistics
import time
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Ratio:
    """How long `ours` takes against `baseline`.

    Attributes:
      name: what is compared.
      median: of the rounds' ratios; 1 is the baseline.
      low, high: quartiles of the ratios.
      noise: the same half-distance of quartiles for the baseline against itself, which is what no change looks like.
      limit: what the median may be, where a claim is made.
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
        """Whether the median is below the limit."""
        return self.median <= self.limit


def ratio(
    name: str, ours: Callable[[], object], baseline: Callable[[], object], rounds: int, limit: float = float("inf")
) -> Ratio:
    """Times both in turn, after one round that does not count; the order changes from round to round."""
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
