"""Locks between processes, as a file. A lock ends with its process, however the process ends."""

import contextlib
import datetime
import errno
import fcntl
import os
import socket
import stat
import uuid
from collections.abc import Callable, Iterator
from typing import BinaryIO

from absl import logging

_TEXT_BYTES = 400


@contextlib.contextmanager
def hold(path: str, when_busy: Callable[[str], object] = logging.info) -> Iterator[None]:
    """Holds the lock `path` until the context ends; then removes the file.

    The lock is a flock, so it works between processes of one machine, and between machines on a file system that shares
    flocks, such as NFS. On a file system without flocks it protects from nothing; the log says so.

    Args:
      path: of the lock file, in an existing folder of this machine.
      when_busy: is called with a text that names the process, host and time of the holder, if another one holds the
        lock. If it raises an exception, `hold` gives up. If it returns, `hold` waits.

    Raises:
      OSError: the file cannot be written, or is a link or another file that is not regular.
    """
    file = _locked(path, when_busy)
    try:
        file.truncate(0)
        file.write(_this_process().encode()[:_TEXT_BYTES])
        yield
    finally:
        with file, contextlib.suppress(OSError):  # closing ends the lock, so the file is removed before
            os.remove(path)


@contextlib.contextmanager
def owned(prefix: str) -> Iterator[str]:
    """Makes an empty file of a new name, and holds its lock until the context ends; then removes it if it is there.

    Args:
      prefix: the start of the file's path, in an existing folder of this machine.
    """
    while True:
        path = prefix + uuid.uuid4().hex[:12]
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        with contextlib.suppress(OSError):  # the file system has no locks, so nobody else removes the file either
            _take(file, wait=True)
        if _is_at(file, path):  # else another process has removed it before it was locked
            break
        os.close(file)
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):  # it has another name by now, or is removed
            os.remove(path)
        os.close(file)


@contextlib.contextmanager
def free(path: str) -> Iterator[bool]:
    """Yields whether no process holds the lock of the file at `path`; holds the lock itself meanwhile.

    Raises:
      OSError: there is no such file, or it cannot be locked.
    """
    file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        yield _take(file, wait=False) and _is_at(file, path)
    finally:
        os.close(file)


def _take(file: int, wait: bool) -> bool:
    """Takes the flock of an open file; returns False if another process has it and `wait` is False."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _is_at(file: int, path: str) -> bool:
    """Whether the open file still is the file at `path`: nobody has removed or replaced it."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _locked(path: str, when_busy: Callable[[str], object]) -> BinaryIO:
    while True:
        file = _opened(path)
        try:
            try:
                is_held = not _take(file.fileno(), wait=False)
            except OSError as error:
                logging.warning("%s cannot be locked (%s); let no other process write here", path, error)
                return file
            if is_held:
                when_busy(_holder(path))
                _take(file.fileno(), wait=True)
        except BaseException:
            file.close()
            raise
        if _is_at(file.fileno(), path):  # else its holder has removed the file after it was opened here
            return file
        file.close()


def _opened(path: str) -> BinaryIO:
    """Opens or makes a regular file. It follows no link, because the holder overwrites the file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EISDIR):
            raise
    else:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return os.fdopen(descriptor, "r+b", buffering=0)
        os.close(descriptor)
    raise OSError(errno.EINVAL, "a lock must be a regular file; remove it", path)


def _this_process() -> str:
    now = datetime.datetime.now(datetime.timezone.utc)
    return f"process {os.getpid()} on {socket.gethostname()}, since {now:%Y-%m-%d %H:%M:%S} UTC"


def _holder(path: str) -> str:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(_TEXT_BYTES).decode(errors="replace") or "another process"
    return "another process"
