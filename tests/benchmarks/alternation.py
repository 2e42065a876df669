"""Processes that do the same work in turn: how fast each is, and the first one's ratio to the fastest of the others.

Each process is one of the scripts in tests/benchmarks/peers. It prints a JSON object a line (peers/protocol.py).
"""

import contextlib
import dataclasses
import itertools
import json
import math
import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence

from tests.benchmarks.measure import Ratio

_LAST_STEPS = 3


class Failed(Exception):
    """A process did not do the work; the message says why."""


@dataclasses.dataclass(frozen=True)
class Competitor:
    """What takes part.

    Attributes:
      name: its name in the printed lines.
      command: starts its process.
      absent: why it cannot take part; "" if it can.
    """

    name: str
    command: Sequence[str] = ()
    absent: str = ""


@dataclasses.dataclass(frozen=True)
class Done:
    """The work of one process.

    Attributes:
      software: names and versions.
      size: what must be the same for all, such as the number of trained numbers.
      begun: seconds from the start of the process to the end of its warm-up.
      ms: median of the times after that.
    """

    software: str
    size: int
    begun: float
    ms: float


def run(command: Sequence[str], limit: float) -> Done:
    """Runs one process.

    Args:
      command: of one of the scripts.
      limit: seconds, after which the process is killed.

    Raises:
      Failed: the process fails, does not train, or does not end in time.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, start_new_session=True
        )
        watchdog = threading.Timer(limit, _end, [process])
        watchdog.start()
        try:
            # Lines are read as they come, so that the time of each is known.
            lines = [(time.perf_counter() - start, line) for line in process.stdout if line.startswith("{")]
            code = process.wait()
        finally:
            timed_out = watchdog.finished.is_set()
            watchdog.cancel()
            _end(process)
        errors.seek(0)
        said = [line.strip() for line in errors.read().splitlines() if line.strip()]
    if timed_out:
        raise Failed(f"it was not done after {limit:.0f} s; it had printed {len(lines)} lines")
    if code:
        raise Failed(f"exit code {code}: {said[-1][:300] if said else 'it printed nothing'}")
    (_, first), *steps = [(second, json.loads(line)) for second, line in lines]
    if "loss" in steps[0][1]:
        _require_training([step["loss"] for _, step in steps])
    warm_up = first["warm_up"]
    milliseconds = statistics.median(step["ms"] for _, step in steps[warm_up:])
    return Done(first["software"], first["size"], steps[warm_up - 1][0], milliseconds)


def _end(process: subprocess.Popen) -> None:
    """Ends the process with its children: PyTorch's compiler has some, and they keep its output open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _require_training(losses: list[float]) -> None:
    if not all(map(math.isfinite, losses)) or min(losses[-_LAST_STEPS:]) >= losses[0]:
        raise Failed(f"it does not train: its losses are {', '.join(f'{loss:.3f}' for loss in losses)}"[:300])


def compare(
    competitors: Sequence[Competitor],
    rounds: int,
    limit: float = float("inf"),
    unit: str = "a step",
    sized: str = "trained numbers",
    seconds: float = 1200,
) -> tuple[list[str], Ratio | None]:
    """Lets all competitors do the work in turn, in an order that rotates.

    Args:
      competitors: ours first.
      rounds: number of processes of each; at least 2, and 3 for the noise.
      limit: largest ratio that the project claims; infinite for no claim.
      unit: what a time is of.
      sized: what the size of the work counts.
      seconds: limit of each process.

    Returns:
      A line for each competitor, also for those that are absent; and the ratio of the times of ours to those of the
      fastest other, or None if no other was measured. The noise is that of the fastest other, against itself a round
      before.

    Raises:
      Failed: our own process failed.
    """
    ours = competitors[0]
    reasons = {competitor.name: competitor.absent for competitor in competitors if competitor.absent}
    done: dict[str, list[Done]] = {competitor.name: [] for competitor in competitors}
    for number in range(rounds):
        first = number % len(competitors)
        for competitor in [*competitors[first:], *competitors[:first]]:
            if competitor.name in reasons:
                continue
            try:
                found = run(competitor.command, seconds)
                print(f"    round {number + 1} of {rounds}: {competitor.name} {found.ms:,.1f} ms", flush=True)
                done[competitor.name].append(found)
            except Failed as failure:
                if competitor is ours:
                    raise
                reasons[competitor.name] = str(failure)
    wanted = done[ours.name][0].size
    for competitor in competitors:
        if competitor.name not in reasons and (size := done[competitor.name][0].size) != wanted:
            reasons[competitor.name] = f"it has {size:,} {sized}, and ours has {wanted:,}"
    lines = [
        f"{competitor.name}: not measured, {reasons[competitor.name]}"
        if competitor.name in reasons
        else _line(competitor.name, done[competitor.name], unit, sized)
        for competitor in competitors
    ]
    others = [competitor.name for competitor in competitors[1:] if competitor.name not in reasons]
    if not others:
        return lines, None
    fastest = min(others, key=lambda name: statistics.median(one.ms for one in done[name]))
    return lines, _ratio(f"ours / {fastest}, the fastest peer", done[ours.name], done[fastest], limit)


def _line(name: str, runs: list[Done], unit: str, sized: str) -> str:
    low, median, high = quartiles([one.ms for one in runs])
    begun = statistics.median(one.begun for one in runs)
    return (
        f"{name}: {median:,.1f} ms {unit} [{low:,.1f}, {high:,.1f}], begun after {begun:.1f} s ({runs[0].software}; "
        f"{runs[0].size:,} {sized})"
    )


def _ratio(name: str, ours: list[Done], baseline: list[Done], limit: float) -> Ratio:
    low, median, high = quartiles([mine.ms / other.ms for mine, other in zip(ours, baseline, strict=True)])
    again = [after.ms / before.ms for before, after in itertools.pairwise(baseline)]
    noise_low, _, noise_high = quartiles(again) if len(again) > 1 else (math.nan,) * 3
    return Ratio(name, median, low, high, (noise_high - noise_low) / 2, limit)


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """The quartiles of at least two values."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, median, high
