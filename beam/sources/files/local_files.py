"""Opens files of this machine, but only regular ones: a FIFO or a device would make a reader wait, or never end."""

import io
import os
import stat
from typing import IO

from beam.sources.rows.raw import shown

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class IrregularFile(EOFError):
    """The path names something that is no regular file."""


def size(path: str) -> int:
    """Returns the size of a regular file (bytes); follows symbolic links.

    The kernel's own files, such as those in /proc, have size 0.

    Raises:
      IrregularFile: the path names something else.
      OSError, ValueError: there is no such file, or no file can have this path.
    """
    return _size(os.stat(path), path)


def open_regular(path: str) -> IO[bytes]:
    """Opens a regular file for reading, without a buffer; raises as `size` does."""
    size(path)  # before it is opened, as opening alone can change a device
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # O_NONBLOCK: if a FIFO took its place meanwhile
    try:
        _size(os.fstat(file), path)
    except IrregularFile:
        os.close(file)
        raise
    return io.FileIO(file)


def _size(found: os.stat_result, path: str) -> int:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "no file")
        raise IrregularFile(f"{shown(path)} is {kind}, but must be a regular file; name a file")
    return found.st_size
