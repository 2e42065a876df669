"""The demo, run as a command."""

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

from tests.pipeline.conftest import ROOT


@contextlib.contextmanager
def running(*flags: str) -> Iterator[tuple[str, str]]:
    """Yields the address and the output until then; at the end, checks that Ctrl-C stops the demo."""
    command = [sys.executable, "-m", "pipeline.demo", "--port=0", *flags]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, preexec_fn=_accept_ctrl_c) as process:
        try:
            printed = ""
            while not (found := re.search(r"http://127\.0\.0\.1:\d+", printed)):
                line = process.stdout.readline()
                assert line, f"the demo ended: {printed}"
                printed += line
            yield found.group(), printed
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            assert process.stdout.read() == "\nStopped\n"
        finally:
            process.kill()


def _accept_ctrl_c() -> None:
    """Restores SIGINT, which processes ignore that a shell started in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
