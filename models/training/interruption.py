"""Being asked to stop: a signal is noted, and the train loop stops where its state can be saved."""

import signal
import threading
import types
from typing import Any, ClassVar


class Interrupted(SystemExit):
    """Training was asked to stop and has saved its state; a process that lets this pass exits with `code`."""


class StopSignals:
    """While open, SIGTERM (preemption) and SIGINT (Ctrl-C) are noted; a second one ends the process as usual."""

    _EXIT_CODES: ClassVar = {signal.SIGTERM: 0, signal.SIGINT: 130}

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._usual: dict[signal.Signals, Any] = {}

    @property
    def exit_code(self) -> int:
        """0 where the machine is taken away in good order, 130 for Ctrl-C."""
        return self._EXIT_CODES[self.received] if self.received else 0

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():  # Python lets no other thread handle signals
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
