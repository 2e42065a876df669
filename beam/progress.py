"""Progress lines of long work; this module needs no Beam."""

import time

_PROGRESS_SECONDS = 3.0


class Progress:
    """Prints every few seconds how many rows this worker has done, and how fast."""

    def __init__(self, what: str, unit: str = "rows", total: int = 0) -> None:
        """Starts the clock.

        Args:
          what: the work, such as "read".
          unit: the name of what is counted.
          total: how many there will be; 0 if unknown.
        """
        self._what, self._unit, self._done = what, unit, 0
        self._of = f" of {total:,}" if total else ""
        self._start = self._printed = time.monotonic()

    def add(self, count: int) -> None:
        """Adds `count` to the number done."""
        self._done += count
        now = time.monotonic()
        if now - self._printed > _PROGRESS_SECONDS:
            self._printed = now
            speed = self._done / (now - self._start)
            print(f"      {self._what} {self._done:,}{self._of} {self._unit}, {speed:,.0f} {self._unit}/s", flush=True)
