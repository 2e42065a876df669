"""What a run writes down: TensorBoard events, one JSON line a logged step, and a line of progress on the terminal."""

import json
import os
import time
from collections.abc import Mapping, Sequence

import tensorflow as tf

from models import settings
from models.settings import configuration
from models.training.held_out import HeldOutResult

LOG_FILE = "training_log.jsonl"
_PROGRESS_SECONDS = 5.0
_HELD_OUT = "held_out_"


class TrainingLog:
    """Open while training; a resumed run writes the rows of the runs before it again, so that its log is whole."""

    def __init__(
        self,
        folder: str,
        config: settings.TrainingSettings,
        step_flops: float,
        devices: int,
        history: Sequence[Mapping[str, float]] = (),
        prints: bool = True,
    ) -> None:
        """Writes the gin text and the history.

        Args:
          folder: made where missing.
          config: what is trained.
          step_flops: floating-point operations of a step over all replicas.
          devices: replicas.
          history: rows that earlier processes logged.
          prints: show progress on the terminal.
        """
        tf.io.gfile.makedirs(folder)
        self._config, self._step_flops, self._devices = config, step_flops, devices
        self._events = tf.summary.create_file_writer(folder)
        self._lines = tf.io.gfile.GFile(os.path.join(folder, LOG_FILE), "w")
        self._lines.write("")  # GFile makes the file at its first write, which 0 steps never reach
        self.rows: list[dict[str, float]] = []
        with self._events.as_default():
            tf.summary.text(
                "gin", "\n".join(f"    {line}" for line in configuration.to_gin(config).splitlines()), step=0
            )
        for row in history:
            self._append(dict(row))
        self._before = self.rows[-1]["seconds"] if self.rows else 0.0
        self._start = time.monotonic()
        self._since: tuple[float, float, float] | None = None  # time, steps and seconds waited when the last row ended
        self._prints, self._printed = prints, 0.0

    def __enter__(self) -> "TrainingLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._events.close()
        self._lines.close()

    def write(
        self, done: int, values: Mapping[str, float], waited: float, held_out: HeldOutResult | None = None
    ) -> None:
        """Writes one row.

        Args:
          done: steps done; the row is of the last of them.
          values: scalars of that step.
          waited: seconds that this process has waited for batches so far.
          held_out: what held-out rows show, where they were looked at; that time is no part of the rates.
        """
        now = time.monotonic()
        row = {"step": done - 1, "seconds": round(self._before + now - self._start, 3), **values}
        if held_out:
            row |= {f"{_HELD_OUT}{name}": value for name, value in held_out.metrics.items()}
            with self._events.as_default():
                for name, numbers in held_out.histograms.items():
                    tf.summary.histogram(f"held_out/{name}", numbers, step=done - 1)
        if self._since:  # the first row also holds the compilation, so rates are counted from its end
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
                if name not in ("step", "seconds"):
                    tf.summary.scalar(name.replace(_HELD_OUT, "held_out/"), value, step=int(row["step"]))
        self._lines.write(json.dumps(row) + "\n")
        self._lines.flush()

    def _print(self, done: int, row: Mapping[str, float]) -> None:
        rate = "compiled"
        if "examples_per_second" in row:
            left = (self._config.steps - done) * row["step_seconds"]
            rate = f"{row['examples_per_second']:,.0f} examples/s  {left:.0f} s left"
        print(f"      step {done}/{self._config.steps}  loss {row['loss']:.3f}  {rate}", flush=True)
