"""What a person sees of a local run: a line when a component starts, one when it ends, and what it all cost."""

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
    """A component raised; the message names it, and where the traceback is."""

    def __init__(self, component: str, error: Exception, log_file: str) -> None:
        absl_logging.error("%s failed", component, exc_info=error)
        super().__init__(
            f"{component} failed: {type(error).__name__}: {error}\n"
            f"What ran before it is kept, and is not run again. Traceback: {log_file}"
        )


class ComponentLines(logging.Handler):
    """Turns LocalDagRunner's log records into lines for people, and remembers how long each component took."""

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
    """Keeps libraries' logs off the terminal (the run's log has them); call it before TensorFlow is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    absl_logging.use_absl_handler()
    absl_logging.get_absl_handler().setLevel(logging.CRITICAL)
    # TensorFlow's functions complain when they are freed as Python shuts down.
    atexit.register(setattr, sys, "unraisablehook", lambda _: None)


@contextlib.contextmanager
def watch(components: list[str], log_file: str) -> Iterator[ComponentLines]:
    """While open, sends the whole log to `log_file`, and a line for each component to standard output.

    What native code writes to standard error (XLA does, past every setting) goes to the file as well.
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
    """Largest resident size of this process, or of the largest child where that is larger."""
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(own, children) * 1024  # Linux counts kilobytes
