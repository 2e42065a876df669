"""The output folder of a run: one run at a time, with temporary files of its own."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator

from models import locks
from pipeline.console import command_line

_LOCK_FILE = ".running"
_TEMPORARY = ".tmp"
_LONGEST = 60  # bytes of a folder's path; the path of a socket in it has 107 at most
_PREFIX = "siglip-tfx-"


@contextlib.contextmanager
def alone(folder: str) -> Iterator[None]:
    """Makes the folder and locks it, so that no other run removes files of this one. A killed run holds no lock.

    Meanwhile, this process and its children keep temporary files in a hidden folder of it, `.tmp`, such as the code
    that AutoGraph makes. It is removed in the end, or by the next run. If its path is long, it is a link to a folder in
    the system's temporary folder, because paths of sockets must be short. If the folder is new and the run has written
    nothing to it, it is removed, too.

    Raises:
      ValueError: another run has the folder, or no file can be written there.
    """

    def refuse(holder: str) -> None:
        raise ValueError(
            f"another run writes to --output_dir={folder}: {holder}; wait until it has ended, or name another folder"
        )

    is_new = not os.path.exists(folder)
    command_line.require_writable(folder)
    with contextlib.ExitStack() as stack:
        if is_new:
            stack.callback(_remove_unused, folder)
        try:
            stack.enter_context(locks.hold(os.path.join(folder, _LOCK_FILE), refuse))
        except OSError as error:
            raise ValueError(f"--output_dir={folder} cannot be locked: {error.filename}: {error.strerror}") from error
        stack.enter_context(_temporary(os.path.join(folder, _TEMPORARY)))
        yield


def _remove_unused(folder: str) -> None:
    with contextlib.suppress(OSError):
        names = os.listdir(folder)
        if set(names) <= {_LOCK_FILE}:
            for name in names:
                os.remove(os.path.join(folder, name))
            os.rmdir(folder)


@contextlib.contextmanager
def _temporary(path: str) -> Iterator[None]:
    path = os.path.abspath(path)
    _remove(path)  # of a killed run
    if len(os.fsencode(path)) > _LONGEST:
        os.symlink(tempfile.mkdtemp(prefix=_PREFIX), path)
    else:
        os.makedirs(path)
    before, found = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"] = tempfile.tempdir = os.path.realpath(path)
    try:
        yield
    finally:
        tempfile.tempdir = found
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
        _remove(path)


def _remove(path: str) -> None:
    """Removes the folder, or the link with the folder of ours that it names."""
    if os.path.islink(path):
        target = os.readlink(path)
        if os.path.basename(target).startswith(_PREFIX):
            shutil.rmtree(target, ignore_errors=True)
        os.remove(path)
    shutil.rmtree(path, ignore_errors=True)
