"""`Rasteriser`: SVG -> PNG, in a process that a hostile SVG may end."""

import atexit
import contextlib
import signal
import subprocess
import sys
import threading

from beam.sources.iconify import drawing_process
from beam.sources.rows.raw import InvalidRow

_OF_CONTENT = {
    signal.SIGPROF: ("svg_too_slow", "takes longer than {seconds:g} s of processor time"),
    signal.SIGABRT: ("svg_crashed", "asks for more than {memory} MiB of memory, or breaks the renderer"),
    signal.SIGSEGV: ("svg_crashed", "breaks the renderer, such as with too many elements inside one another"),
    signal.SIGBUS: ("svg_crashed", "breaks the renderer"),
    signal.SIGILL: ("svg_crashed", "breaks the renderer"),
}


class Rasteriser:
    """Draws SVGs with resvg in a process of its own, which it starts at the first one and again after a crash."""

    def __init__(self, seconds: float = 10.0) -> None:
        """`seconds`: largest processor time of a drawing; those of the artists' data take .1 s at most."""
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def png(self, svg: bytes, side: int) -> bytes:
        """Draws an SVG.

        Args:
          svg: the document, in UTF-8.
          side: longer side of the picture (pixels).

        Raises:
          InvalidRow: the SVG cannot be drawn, or only beyond the limits of time and memory.
          RuntimeError: the process ended, but not because of the SVG.
        """
        with self._lock:
            if not self._process:
                self._process = _start(self._seconds)
                atexit.register(self.close)
            reply = _ask(self._process, svg, side)
            if reply is None:
                raise self._ended(self._process)
        drawn, content = reply
        if not drawn:
            raise InvalidRow("invalid_svg", f"resvg cannot draw it: {content.decode()}")
        return content

    def close(self) -> None:
        """Ends the process; the next drawing starts another one."""
        process, self._process = self._process, None
        atexit.unregister(self.close)
        if process:
            with contextlib.suppress(BrokenPipeError), process:  # closes its input, at whose end it ends
                pass

    def _ended(self, process: subprocess.Popen[bytes]) -> Exception:
        """Why the process ended: InvalidRow if the SVG is at fault."""
        self.close()
        code = process.returncode
        if -code in _OF_CONTENT:
            reason, problem = _OF_CONTENT[signal.Signals(-code)]
            limits = {"seconds": self._seconds, "memory": drawing_process.MEMORY >> 20}
            return InvalidRow(reason, f"the SVG {problem.format(**limits)} ({signal.Signals(-code).name})")
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return RuntimeError(f"the process that draws SVGs {how}; run the same command again")


def _start(seconds: float) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-I", drawing_process.__file__, str(seconds)]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a crash writes a stack trace, and the reject says what happened
        start_new_session=True,  # so that Ctrl-C reaches this process alone
    )


def _ask(process: "subprocess.Popen[bytes]", svg: bytes, side: int) -> tuple[bool, bytes] | None:
    """Sends a request; returns the reply, or None if the process has ended."""
    assert process.stdin
    assert process.stdout
    try:
        process.stdin.write(drawing_process.REQUEST.pack(side, len(svg)) + svg)
        process.stdin.flush()
    except BrokenPipeError:
        return None
    header = process.stdout.read(drawing_process.REPLY.size)
    if len(header) < drawing_process.REPLY.size:
        return None
    drawn, size = drawing_process.REPLY.unpack(header)
    content = process.stdout.read(size)
    return (drawn, content) if len(content) == size else None
