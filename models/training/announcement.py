"""Tells a user that work goes on which prints nothing itself."""

import contextlib
import threading
import time
from collections.abc import Iterator

_EVERY = 15.0  # seconds


@contextlib.contextmanager
def announced(what: str, prints: bool, every: float = _EVERY) -> Iterator[None]:
    """Prints "`what`: N s so far" every few seconds while the block runs.

    Args:
      what: the work.
      prints: whether this process prints.
      every: pause between two lines (seconds).
    """
    done, start = threading.Event(), time.monotonic()

    def tell() -> None:
        while not done.wait(every):
            print(f"      {what}: {time.monotonic() - start:.0f} s so far", flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    if prints:
        teller.start()
    try:
        yield
    finally:
        done.set()
        if prints:
            teller.join()
