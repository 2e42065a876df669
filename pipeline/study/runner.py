"""Runs the processes of a study, several at once, and prints their progress."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from multiprocessing import connection, forkserver
from typing import Any

from models.training.log import LOG_FILE
from pipeline.console import terminal
from pipeline.study import training_run
from pipeline.study.runs import Run
from pipeline.study.training_run import DIVERGED, OUTPUT_FILE

_PROGRESS_SECONDS = 30.0
_STOPPED = 143  # the exit code of a process that SIGTERM has ended, as in a shell


@dataclasses.dataclass
class _Active:
    """A run in progress."""

    number: int
    run: Run
    process: Any
    began: float
    from_step: int = 0  # steps that an earlier command has done

    def row(self) -> dict[str, float]:
        """The newest row of its log; {} before there is one."""
        try:
            with open(os.path.join(self.run.folder, LOG_FILE)) as file:
                lines = file.read().splitlines()
            return json.loads(lines[-1]) if lines else {}
        except (FileNotFoundError, ValueError):  # the last line may be half written
            return {}


class Runner:
    """Runs what has no result yet."""

    def __init__(self, runs: Sequence[Run], jobs: int) -> None:
        """Starts nothing yet.

        Args:
          runs: the runs, in their order.
          jobs: largest number of processes at once.
        """
        self._runs, self._jobs = list(runs), jobs
        self._active: list[_Active] = []
        self._done_examples, self._busy, self._printed = 0.0, 0.0, time.monotonic()
        self._context = multiprocessing.get_context("forkserver")

    def go(self) -> dict[str, str]:
        """Runs all; a run that fails does not stop the others. Returns {title of a failed run: path of its log}.

        On Ctrl-C or SIGTERM, the runs in progress save their state, and this raises KeyboardInterrupt or SystemExit.
        """
        waiting = deque((number, run) for number, run in enumerate(self._runs, start=1) if not self._is_kept(run))
        kept = len(self._runs) - len(waiting)
        print(f"{len(self._runs)} runs: {kept} have a result, {len(waiting)} to do, {self._jobs} at once", flush=True)
        failures: dict[str, str] = {}
        if not waiting:
            return failures
        self._context.set_forkserver_preload([training_run.__name__])
        with terminal.native_log_hidden():
            forkserver.ensure_running()
        usual = signal.signal(signal.SIGTERM, lambda *_: sys.exit(_STOPPED))
        try:
            while waiting or self._active:
                while waiting and len(self._active) < self._jobs:
                    self._start(*waiting.popleft())
                connection.wait([one.process.sentinel for one in self._active], timeout=1.0)
                for one in [one for one in self._active if not one.process.is_alive()]:
                    failures |= self._end(one, waiting)
                self._print_progress(waiting)
        except BaseException:
            self._stop()
            raise
        finally:
            signal.signal(signal.SIGTERM, usual)
        return failures

    def _is_kept(self, run: Run) -> bool:
        """Whether the run has its result; removes what a run that was killed at its very end has left."""
        if run.result() is None:
            return False
        run.make_ready()
        return True

    def _start(self, number: int, run: Run) -> None:
        print(f"[{number}/{len(self._runs)}] {run.title}", flush=True)
        run.make_ready()
        if run.result():  # a process of a killed command has finished it meanwhile
            return
        arguments = (run.order, run.folder, tempfile.gettempdir())
        process = self._context.Process(target=training_run.start, args=arguments, name=run.title)
        active = _Active(number, run, process, time.monotonic())
        active.from_step = int(active.row().get("step", 0))
        process.start()
        self._active.append(active)

    def _end(self, one: _Active, waiting: Sequence[tuple[int, Run]]) -> dict[str, str]:
        """Prints how a run has ended; returns {title: log} if it has failed."""
        self._active.remove(one)
        one.process.join()
        result, log = one.run.result(), os.path.join(one.run.folder, OUTPUT_FILE)
        if result is None:
            reason = f"failed with exit code {one.process.exitcode}: {_last_line(log)}"
            print(f"{self._title(one)}: {reason}\n      log: {log}", flush=True)
            return {one.run.title: log}
        self._busy += time.monotonic() - one.began
        training = one.run.cell.settings.training
        steps = result["step"] if result["status"] == DIVERGED else training.steps
        self._done_examples += (steps - one.from_step) * training.batch_size
        speed = result["examples_per_second"]
        what = f"{speed:,.0f} examples/s" if speed else "done"
        if result["status"] == DIVERGED:
            what = f"diverged at step {result['step']}"
        print(f"{self._title(one)}: {what}{self._left(waiting)}", flush=True)
        return {}

    def _print_progress(self, waiting: Sequence[tuple[int, Run]]) -> None:
        if time.monotonic() - self._printed < _PROGRESS_SECONDS:
            return
        self._printed = time.monotonic()
        for one in self._active:
            row = one.row()
            steps = f"step {row.get('step', 0):.0f} of {one.run.cell.settings.training.steps}"
            speed = f", {row['examples_per_second']:,.0f} examples/s" if "examples_per_second" in row else ""
            print(f"      {self._title(one)}: {steps}{speed}{self._left(waiting)}", flush=True)

    def _left(self, waiting: Sequence[tuple[int, Run]]) -> str:
        """The time left in words, at the mean time that an example has taken so far; "" before that is known."""
        now, seconds, examples = time.monotonic(), self._busy, self._done_examples
        left = float(sum(run.examples for _, run in waiting))
        for one in self._active:
            batch = one.run.cell.settings.training.batch_size
            done = max(0.0, one.row().get("step", 0) - one.from_step) * batch
            seconds, examples = seconds + now - one.began, examples + done
            left += one.run.examples - one.from_step * batch - done
        if not examples or not left:
            return ""
        minutes = seconds / examples * left / min(self._jobs, max(1, len(waiting) + len(self._active))) / 60
        return f", about {minutes:.0f} min left" if minutes >= 1.5 else ", about a minute left"

    def _title(self, one: _Active) -> str:
        return f"[{one.number}/{len(self._runs)}] {one.run.title}"

    def _stop(self) -> None:
        """Asks the runs in progress to save their state, and waits until they have."""
        if self._active:
            print("Stopping: runs in progress save their state. Run the same command to go on", flush=True)
        for one in self._active:
            one.process.terminate()
        for one in self._active:
            one.process.join()


def _last_line(path: str) -> str:
    """The last line of a log, which names the error."""
    try:
        with open(path, errors="replace") as file:
            lines = [line for line in file.read().splitlines() if line.strip()]
    except FileNotFoundError:
        return "it wrote no log"
    return lines[-1] if lines else "its log is empty"
