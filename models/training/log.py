"""The log of a run: TensorBoard events, one JSON line for each logged step, and lines of progress on the terminal."""

import json
import os
import time
from collections.abc import Mapping, Sequence

import tensorflow as tf

from models import settings
from models.settings import configuration
from models.training.held_out import HeldOutResult

LOG_FILE = "training_log.jsonl"
SPENT = {
    "starting_seconds": "tracing, compiling and the first steps",
    "waiting_seconds": "waiting for batches",
    "scoring_seconds": "scoring held-out rows",
    "saving_seconds": "saving checkpoints",
}
"""Entries of a row that say what the run's seconds up to this row were spent on; the steps took the other seconds."""
RATES = ("step_seconds", "examples_per_second", "input_wait_share", "flops_per_second", "mfu")
"""The entries of a row that describe the steps since the row before."""
TIMES = ("seconds", *SPENT, *RATES)
"""The values of a row that depend on the speed of the machine; the others depend on settings and data only."""
_PROGRESS_SECONDS = 5.0
_HELD_OUT = "held_out_"


class TrainingLog:
    """Writes the log of a run; a resumed run writes all earlier rows again, so that its log is complete."""

    def __init__(
        self,
        folder: str,
        config: settings.TrainingSettings,
        step_flops: float,
        devices: int,
        history: Sequence[Mapping[str, float]] = (),
        prints: bool = True,
    ) -> None:
        """Opens the log, and writes the gin text and the history.

        Args:
          folder: folder of the log; created if it is missing.
          config: settings of the run.
          step_flops: floating-point operations of a step over all replicas.
          devices: number of replicas.
          history: rows that earlier processes of this run logged.
          prints: whether to print progress on the terminal.
        """
        tf.io.gfile.makedirs(folder)
        self._config, self._step_flops, self._devices = config, step_flops, devices
        self._events = tf.summary.create_file_writer(folder)
        self._lines = tf.io.gfile.GFile(os.path.join(folder, LOG_FILE), "w")
        self._lines.write("")  # GFile creates the file at its first write, and a run of 0 steps writes no row
        self.rows: list[dict[str, float]] = []
        with self._events.as_default():
            tf.summary.text(
                "gin", "\n".join(f"    {line}" for line in configuration.to_gin(config).splitlines()), step=0
            )
        for row in history:
            self._append(dict(row))
        last = self.rows[-1] if self.rows else {}
        self._before = {name: last.get(name, 0.0) for name in ("seconds", *SPENT)}  # what earlier processes took
        self._starting = self._scoring = 0.0
        self._start = time.monotonic()
        self._since: tuple[float, float, float] | None = None  # end of the last row: time, steps, seconds waited
        self._prints, self._printed = prints, 0.0

    def __enter__(self) -> "TrainingLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._events.close()
        self._lines.close()

    def write(
        self,
        done: int,
        values: Mapping[str, float],
        waited: float,
        saved: float = 0.0,
        held_out: HeldOutResult | None = None,
    ) -> None:
        """Writes one row.

        Args:
          done: steps done; the row belongs to the last of them.
          values: scalars of that step.
          waited: seconds that this process has waited for batches so far.
          saved: seconds that training has waited for its checkpoints so far, in this process.
          held_out: metrics of the held-out rows, if they are due; the rates do not count the time they took.
        """
        now = time.monotonic()
        self._scoring += held_out.seconds if held_out else 0.0
        if not self._since:
            self._starting = now - self._start - self._scoring - waited
        spent = [now - self._start, self._starting, waited, self._scoring, saved]
        totals = zip(self._before.items(), spent, strict=True)
        row = {"step": done - 1, **{name: round(before + new, 3) for (name, before), new in totals}, **values}
        if held_out:
            row |= {f"{_HELD_OUT}{name}": value for name, value in held_out.metrics.items()}
            with self._events.as_default():
                for name, numbers in held_out.histograms.items():
                    tf.summary.histogram(f"held_out/{name}", numbers, step=done - 1)
        if self._since:  # the first row includes compilation, so rates are measured from its end
            then, steps_then, waited_then = self._since
            seconds, steps = now - then - (held_out.seconds if held_out else 0.0), done - steps_then
            row["step_seconds"] = seconds / steps
            row["examples_per_second"] = steps * self._config.batch_size / seconds
            row["input_wait_share"] = (waited - waited_then) / seconds
            row["flops_per_second"] = steps * self._step_flops / seconds
            peak = self._config.runtime.peak_flops * self._devices
            if peak:
                row["mfu"] = row["flops_per_second"] / peak
        self._since = (time.monotonic(), done, waited)
        self._append(row)
        if self._prints and (now - self._printed > _PROGRESS_SECONDS or done == self._config.steps):
            self._printed = now
            self._print(done, row)

    def _append(self, row: dict[str, float]) -> None:
        self.rows.append(row)
        with self._events.as_default():
            for name, value in row.items():
                if name not in ("step", "seconds", *SPENT):
                    tf.summary.scalar(name.replace(_HELD_OUT, "held_out/"), value, step=int(row["step"]))
        self._lines.write(json.dumps(row) + "\n")
        self._lines.flush()

    def _print(self, done: int, row: Mapping[str, float]) -> None:
        rate = "compiled"
        if "examples_per_second" in row:
            left = (self._config.steps - done) * row["step_seconds"]
            rate = f"{row['examples_per_second']:,.0f} examples/s  {left:.0f} s left"
        print(f"      step {done}/{self._config.steps}  loss {row['loss']:.3f}  {rate}", flush=True)
