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


@contextlib.contextmanager
def alone(folder: str) -> Iterator[None]:
    """Makes the folder and locks it, so that no other run removes files of this one. A killed run holds no lock.

    Meanwhile, this process and its children keep temporary files in a hidden folder of it, `.tmp`, such as the code
    that AutoGraph makes. It is removed in the end, or by the next run.

    Raises:
      ValueError: another run has the folder, or no file can be written there.
    """

    def refuse(holder: str) -> None:
        raise ValueError(
            f"another run writes to --output_dir={folder}: {holder}; wait until it has ended, or name another folder"
        )

    command_line.require_writable(folder)
    with locks.hold(os.path.join(folder, _LOCK_FILE), refuse), _temporary(os.path.join(folder, _TEMPORARY)):
        yield


@contextlib.contextmanager
def _temporary(folder: str) -> Iterator[None]:
    folder = os.path.abspath(folder)
    shutil.rmtree(folder, ignore_errors=True)  # of a killed run
    os.makedirs(folder, exist_ok=True)
    before, found = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    try:
        yield
    finally:
        tempfile.tempdir = found
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
        shutil.rmtree(folder, ignore_errors=True)
