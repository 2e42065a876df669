"""Draws SVGs, one after another, in a process of its own; `Rasteriser` starts it.

A request on standard input is a header `REQUEST` (side in pixels, bytes of the SVG), then the SVG. The reply on
standard output is a header `REPLY` (whether it was drawn, bytes), then the PNG, or the error in UTF-8.

An SVG can crash, hang or fill the process that draws it. So the system ends this process at `MEMORY`, or when a drawing
takes more processor time than its argument says. The file is run by its path and imports none of this project, so that
it starts in a tenth of a second.
"""

import resource
import signal
import struct
import sys

import resvg_py

REQUEST, REPLY = struct.Struct(">II"), struct.Struct(">?I")
MEMORY = 1 << 30
"""Largest memory of the process (bytes of addresses)."""


def main(seconds: float) -> None:
    """Answers requests until standard input ends; each drawing may take `seconds` of processor time."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    while header := requests.read(REQUEST.size):
        side, size = REQUEST.unpack(header)
        svg = requests.read(size)
        signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal, SIGPROF, ends the process
        try:
            drawn, content = True, _draw(svg, side)
        except BaseException as error:  # a panic of Rust is no Exception
            drawn, content = False, str(error).encode()
        signal.setitimer(signal.ITIMER_PROF, 0)
        replies.write(REPLY.pack(drawn, len(content)) + content)
        replies.flush()


def _draw(svg: bytes, side: int) -> bytes:
    """PNG whose longer side is `side`; fonts are not loaded, so that all machines draw the same."""
    return bytes(resvg_py.svg_to_bytes(svg_string=svg.decode(), width=side, height=side, skip_system_fonts=True))


if __name__ == "__main__":
    main(float(sys.argv[1]))
