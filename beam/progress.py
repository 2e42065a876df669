"""Lines that show how far something long has come; no Beam is needed for it."""

import time

_PROGRESS_SECONDS = 3.0


class Progress:
    """Prints now and then how many rows this worker has seen and how fast."""

    def __init__(self, what: str, unit: str = "rows", total: int = 0) -> None:
        """Starts the clock.

        Args:
          what: is done with them, such as "read".
          unit: what is counted.
          total: how many there will be, or 0 where no one knows.
        """
        self._what, self._unit, self._done = what, unit, 0
        self._of = f" of {total:,}" if total else ""
        self._start = self._printed = time.monotonic()

    def add(self, count: int) -> None:
        """Counts more of them."""
        self._done += count
        now = time.monotonic()
        if now - self._printed > _PROGRESS_SECONDS:
            self._printed = now
            speed = self._done / (now - self._start)
            print(f"      {self._what} {self._done:,}{self._of} {self._unit}, {speed:,.0f} {self._unit}/s", flush=True)
