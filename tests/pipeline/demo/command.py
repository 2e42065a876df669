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
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=_hear_ctrl_c) as process:
        try:
            printed = ""
            while not (found := re.search(r"http://127\.0\.0\.1:\d+", printed)):
                line = process.stdout.readline()
                assert line, f"it ended: {printed}"
                printed += line
            yield found.group(), printed
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            assert process.stdout.read() == "\nStopped\n"
        finally:
            process.kill()


def _hear_ctrl_c() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so would the demo of tests that run there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
