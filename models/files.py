"""Files and folders that appear under their name whole or not at all, and folders of numbered versions.

TensorFlow is imported for addresses such as gs://... only. It takes seconds to load, and commands that read or write
local paths alone (such as `publish list`) do not wait for it.
"""

import contextlib
import errno
import os
import re
import shutil
import uuid
from collections.abc import Collection, Iterator
from typing import Any

from models import locks

SAVED_MODEL_FILE = "saved_model.pb"
MODEL_FILES = (SAVED_MODEL_FILE, "config.json")
"""A folder that holds one of these is a complete model: a SavedModel, or a checkpoint of Hugging Face."""
UNFINISHED = ".unfinished-"
"""The start of the name of every temporary file and folder on this machine."""
LAST_VERSION = 2**63 - 1
"""The highest number of a version. Servers ignore a folder with a higher number."""

_FOLDER = ".d"  # the end of the name of a temporary folder; the locked file of its owner has the name without it
_NAME_CHARACTERS = 40  # of a path's name, which its temporary names repeat; a file name has 255 bytes at most
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)  # some network file systems cannot sync a folder


class _Local:
    """The calls of tf.io.gfile that this module makes, for local paths."""

    exists = staticmethod(os.path.exists)
    isdir = staticmethod(os.path.isdir)
    listdir = staticmethod(os.listdir)


def is_local(path: str) -> bool:
    """Whether a path is one of this machine's file systems, and no address such as gs://..."""
    return "://" not in path


def _file_system(path: str) -> Any:
    """tf.io.gfile, or what does the same for a local path."""
    if is_local(path):
        return _Local
    import tensorflow as tf

    return tf.io.gfile


def sync(path: str) -> None:
    """Waits until a file, or a folder with all files in it, is on the disk. An address needs no such wait.

    Raises:
      OSError: the disk failed, so that the data may be lost.
    """
    if not is_local(path):
        return
    if not os.path.isdir(path):
        _sync_one(path)
        return
    for folder, _, names in os.walk(path, topdown=False):
        for name in names:
            file = os.path.join(folder, name)
            if os.path.isfile(file) and not os.path.islink(file):
                _sync_one(file)
        _sync_one(folder)


def _sync_one(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC or not os.path.isdir(path):
            raise
    finally:
        os.close(descriptor)


def make_folder(path: str) -> None:
    """Makes a folder and the folders above it, if they are missing; they survive a power loss."""
    if not is_local(path):
        _file_system(path).makedirs(path)
        return
    missing, above = list[str](), path
    while above and not os.path.isdir(above):
        missing.append(above)
        above = os.path.dirname(above)
    os.makedirs(path, exist_ok=True)
    for folder in missing:
        _sync_one(os.path.dirname(folder) or ".")


def appear(unfinished: str, path: str) -> None:
    """Renames a complete file or folder to `path`. After a power loss, `path` is complete or not there.

    Raises:
      OSError: `path` is a folder with files, or `unfinished` is a folder and `path` is a file.
    """
    if not is_local(path):
        _file_system(path).rename(unfinished, path, True)
        return
    sync(unfinished)
    os.rename(unfinished, path)
    _sync_one(os.path.dirname(path) or ".")


@contextlib.contextmanager
def unfinished(path: str, folder: bool) -> Iterator[str]:
    """Yields a temporary path beside `path`, which no other process uses; removes what is there in the end.

    First it removes what dead processes have left of the same `path`. A process holds a lock while its temporary file
    or folder exists. So a process is dead if its lock is free.

    Args:
      path: the path to be, on this machine. The folder above it is made.
      folder: whether the temporary path is for a folder, which the caller makes. For a file, an empty file is there.
    """
    above, name = os.path.dirname(path) or ".", os.path.basename(path)
    make_folder(above)
    prefix = f"{UNFINISHED}{name[:_NAME_CHARACTERS]}-"
    remove_unfinished(above, prefix)
    with locks.owned(os.path.join(above, prefix)) as owned:
        try:
            yield owned + _FOLDER if folder else owned
        finally:
            if folder:
                shutil.rmtree(owned + _FOLDER, ignore_errors=True)


def remove_unfinished(folder: str, prefix: str = UNFINISHED) -> None:
    """Removes the temporary files and folders of dead processes whose names start with `prefix`."""
    for name in [name for name in os.listdir(folder) if name.startswith(prefix)]:
        path = os.path.join(folder, name)
        if os.path.isdir(path) and not os.path.islink(path):
            # A living process makes the owner's file before the folder, and removes it after the folder.
            if not os.path.lexists(path.removesuffix(_FOLDER)) or not name.endswith(_FOLDER):
                shutil.rmtree(path, ignore_errors=True)
            continue
        with contextlib.suppress(OSError), locks.free(path) as is_free:  # it may be gone by now
            if is_free:
                shutil.rmtree(path + _FOLDER, ignore_errors=True)
                os.remove(path)


class _Whole:
    """Gives a temporary path beside `path`; renames it to `path` on success, removes it on failure."""

    _is_folder = False

    def __init__(self, path: str) -> None:
        """Makes nothing yet. Entering makes the folder above `path`.

        Args:
          path: of the file or folder.
        """
        self._path = path.rstrip("/") if self._is_folder else path

    def __enter__(self) -> str:
        self._context = (unfinished if is_local(self._path) else _unfinished_remote)(self._path, self._is_folder)
        self._unfinished = self._context.__enter__()
        return self._unfinished

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        try:
            if error is None:
                appear(self._unfinished, self._path)
        finally:
            self._context.__exit__(None, None, None)


class WholeFile(_Whole):
    """`with WholeFile(path) as unfinished:` write to `unfinished`; the file becomes `path` if nothing is raised.

    A file that is there is replaced. Several workers may write one file; each has a temporary file of its own.
    """


class WholeFolder(_Whole):
    """`with WholeFolder(path) as unfinished:` make the folder `unfinished`; it becomes `path` if nothing is raised.

    The rename fails with OSError if `path` is a folder with files.
    """

    _is_folder = True


@contextlib.contextmanager
def _unfinished_remote(path: str, folder: bool) -> Iterator[str]:
    """As `unfinished`, for an address, which has no locks: one process alone may write a folder."""
    remote = _file_system(path)
    remote.makedirs(os.path.dirname(path))
    temporary = f"{path}.unfinished"
    if not folder:
        temporary = os.path.join(os.path.dirname(path), f"{UNFINISHED}{uuid.uuid4().hex}")
    remove = remote.rmtree if folder else remote.remove
    if remote.exists(temporary):
        remove(temporary)
    try:
        yield temporary
    finally:
        if remote.exists(temporary):
            remove(temporary)


def write_text(path: str, text: str) -> None:
    """Writes a small file in UTF-8, whole or not at all."""
    with WholeFile(path) as unfinished:
        if is_local(path):
            with open(unfinished, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            return
        import tensorflow as tf

        with tf.io.gfile.GFile(unfinished, "w") as file:
            file.write(text)


def names(folder: str) -> list[str]:
    """The names in a folder, in any order; none if there is no such folder."""
    files = _file_system(folder)
    return [name.rstrip("/") for name in files.listdir(folder)] if files.isdir(folder) else []


def version_number(name: str) -> int | None:
    """The number of a version's folder, as servers read its name; None if the name is no number for them."""
    return int(name) if re.fullmatch("[0-9]+", name) and int(name) <= LAST_VERSION else None


def complete_versions(folder: str, model_files: Collection[str] = MODEL_FILES) -> list[str]:
    """Paths of the numbered folders in `folder` that hold one of `model_files`, the lowest number first."""
    files = _file_system(folder)
    numbers = {name: number for name in names(folder) if (number := version_number(name)) is not None}
    versions = [os.path.join(folder, name) for name in sorted(numbers, key=lambda name: (numbers[name], name))]
    return [path for path in versions if any(files.exists(os.path.join(path, name)) for name in model_files)]


def newest_version(path: str, model_files: Collection[str] = MODEL_FILES) -> str:
    """The last of `complete_versions`; `path` itself if it holds none."""
    return (complete_versions(path, model_files) or [path])[-1]
