"""Files and folders that appear whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator

from models.pretrained.errors import PretrainedError


def require_absent(path: str) -> None:
    """Raises PretrainedError where something is at `path`: nothing is ever overwritten."""
    if os.path.lexists(path):
        raise PretrainedError(f"{path} is there already; remove it, or name another")


@contextlib.contextmanager
def file(path: str) -> Iterator[str]:
    """Yields the path to write to; it becomes `path` if nothing is raised."""
    require_absent(path)
    unfinished = path + ".unfinished"
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    try:
        yield unfinished
        os.rename(unfinished, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(unfinished)


@contextlib.contextmanager
def folder(path: str) -> Iterator[str]:
    """Yields an empty folder to write to; it becomes `path` if nothing is raised."""
    path = path.rstrip("/")
    require_absent(path)
    unfinished = path + ".unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    os.makedirs(unfinished)
    try:
        yield unfinished
        os.rename(unfinished, path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
