"""The demo as a command that runs."""

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

from tests.pipeline.conftest import ROOT


@contextlib.contextmanager
def running(*flags: str) -> Iterator[tuple[str, str]]:
    """Yields the address, and what was printed until then; in the end Ctrl-C must stop it."""
    command = [sys.executable, "-m", "pipeline.demo", "--port=0", *flags]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            printed = ""
            while not (found := re.search(r"http://127\.0\.0\.1:\d+", printed)):
                line = process.stdout.readline()
                assert line, f"it ended: {printed}"
                printed += line
            yield found.group(), printed
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert process.stdout.read() == "\nStopped\n"
