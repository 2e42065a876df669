"""The memory of this process. Not ru_maxrss, because that starts from the value of the parent process."""

import ctypes
import pathlib

GIVES_BACK = {"TF_ENABLE_ONEDNN_OPTS": "0"}
"""For the environment of a process whose memory is measured: oneDNN's allocator keeps all that was ever allocated."""


def peak_bytes() -> int:
    """The largest resident memory of this process so far, without its children."""
    return _status("VmHWM")


def forget_peak() -> int:
    """Gives freed memory back to Linux; from now on, peak_bytes() knows no earlier peak. Returns the memory in use."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    """A number of bytes in the status that Linux has of this process."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    raise AssertionError(f"no {name}")
