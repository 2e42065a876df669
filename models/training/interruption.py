"""Signals that ask training to stop: they are noted, and the train loop stops as soon as it can save its state."""

import signal
import threading
import types
from typing import Any, ClassVar


class Interrupted(SystemExit):
    """A signal asked training to stop, and the state is saved; a process that does not catch this exits with `code`."""


class StopSignals:
    """A context that notes a SIGTERM (preemption) or SIGINT (Ctrl-C); a second one ends the process as usual."""

    _EXIT_CODES: ClassVar = {signal.SIGTERM: 0, signal.SIGINT: 130}

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._usual: dict[signal.Signals, Any] = {}

    @property
    def exit_code(self) -> int:
        """0 for SIGTERM, since preemption is no failure; 130 for SIGINT."""
        return self._EXIT_CODES[self.received] if self.received else 0

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():  # only the main thread may set signal handlers
            self._usual = {number: signal.signal(number, self._note) for number in self._EXIT_CODES}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, _: types.FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._usual.items():
            signal.signal(number, handler)
        self._usual = {}
