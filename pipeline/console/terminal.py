"""What a person sees of a local run: a line when a component starts and ends, no library logs, time and memory."""

import atexit
import contextlib
import logging
import os
import resource
import sys
import time
import warnings
from collections.abc import Iterator

from absl import logging as absl_logging


class ComponentFailed(RuntimeError):
    """A component raised an exception; the message names the component and the log that has the traceback."""

    def __init__(self, component: str, error: Exception, log_file: str) -> None:
        absl_logging.error("%s failed", component, exc_info=error)
        super().__init__(
            f"{component} failed: {type(error).__name__}: {error}\n"
            f"The next run takes the components before it from cache. Traceback: {log_file}"
        )


class ComponentLines(logging.Handler):
    """Prints LocalDagRunner's log records as short lines, and keeps the duration of each component in `seconds`."""

    def __init__(self, components: list[str]) -> None:
        super().__init__(logging.INFO)
        self._components = components
        self._started = 0.0
        self.seconds: dict[str, float] = {}
        self.running = "The pipeline"

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == "Component %s is running.":
            self.running = record.getMessage().split()[1]
            self._started = time.monotonic()
            number = self._components.index(self.running) + 1
            print(f"[{number}/{len(self._components)}] {self.running}", flush=True)
        elif record.msg == "Component %s is finished.":
            self.seconds[self.running] = time.monotonic() - self._started
            print(f"      {self.seconds[self.running]:.1f} s", flush=True)


def quiet_terminal() -> None:
    """Keeps the logs of libraries off the terminal (run.log has them); call it before TensorFlow is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    absl_logging.use_absl_handler()
    absl_logging.get_absl_handler().setLevel(logging.CRITICAL)
    # TensorFlow's functions raise when Python frees them at exit, which would print tracebacks.
    atexit.register(setattr, sys, "unraisablehook", lambda _: None)


@contextlib.contextmanager
def native_log_hidden() -> Iterator[None]:
    """Hides what native code writes to standard error, as newer TensorFlow does when it is imported."""
    sys.stderr.flush()
    usual, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(usual, 2)
        os.close(usual)
        os.close(nowhere)


@contextlib.contextmanager
def watch(components: list[str], log_file: str) -> Iterator[ComponentLines]:
    """Sends the whole log to `log_file` and prints a line for each component, until the context ends.

    Standard error goes to the file as well, because native code such as XLA writes there whatever the log level.
    """
    absl_logging.set_verbosity(absl_logging.INFO)
    lines = ComponentLines(components)
    with open(log_file, "a") as log:
        to_file = logging.StreamHandler(log)
        to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers = (to_file, lines)
        for handler in handlers:
            logging.getLogger().addHandler(handler)
        sys.stderr.flush()
        terminal = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            for handler in handlers:
                logging.getLogger().removeHandler(handler)


def peak_memory_bytes() -> int:
    """The peak resident size of this process or of its largest child, whichever is larger."""
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(own, children) * 1024  # Linux counts kilobytes
