"""Files and folders that appear under their name whole or not at all, and folders of numbered versions.

TensorFlow is imported for addresses such as gs://... only. It takes seconds to load, and commands that read or write
local paths alone (such as `publish list`) do not wait for it.
"""

import os
import shutil
import uuid
from collections.abc import Collection
from typing import Any

SAVED_MODEL_FILE = "saved_model.pb"
MODEL_FILES = (SAVED_MODEL_FILE, "config.json")
"""A folder that holds one of these is a complete model: a SavedModel, or a checkpoint of Hugging Face."""


class _Local:
    """The calls of tf.io.gfile that this module makes, for local paths."""

    exists = staticmethod(os.path.lexists)
    isdir = staticmethod(os.path.isdir)
    listdir = staticmethod(os.listdir)
    remove = staticmethod(os.remove)
    rmtree = staticmethod(shutil.rmtree)

    @staticmethod
    def makedirs(path: str) -> None:
        os.makedirs(path, exist_ok=True)

    @staticmethod
    def rename(source: str, target: str, _overwrite: bool) -> None:
        os.rename(source, target)


def _file_system(path: str) -> Any:
    """tf.io.gfile, or what does the same for a local path."""
    if "://" not in path:
        return _Local
    import tensorflow as tf

    return tf.io.gfile


class _Whole:
    """Gives a temporary path beside `path`; renames it to `path` on success, removes it on failure."""

    def __init__(self, path: str, unfinished: str) -> None:
        self._path, self._unfinished = path, unfinished
        self._files = _file_system(path)

    def __enter__(self) -> str:
        self._files.makedirs(os.path.dirname(self._path) or ".")
        return self._unfinished

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        try:
            if error is None:
                self._files.rename(self._unfinished, self._path, True)
        except BaseException:
            self._clear()
            raise
        if error is not None:
            self._clear()

    def _clear(self) -> None:
        if self._files.exists(self._unfinished):
            (self._files.rmtree if self._files.isdir(self._unfinished) else self._files.remove)(self._unfinished)


class WholeFile(_Whole):
    """`with WholeFile(path) as unfinished:` write to `unfinished`; the file becomes `path` if nothing is raised."""

    def __init__(self, path: str, unfinished: str = "") -> None:
        """Makes nothing yet.

        Args:
          path: of the file. Entering makes its folder; a file that is there is replaced.
          unfinished: the temporary path, for a file that one process alone writes: what a killed process has left
            there, the next one overwrites. "" takes a new name each time, so that several workers may write one file.
        """
        folder = os.path.dirname(path) or "."
        super().__init__(path, unfinished or os.path.join(folder, f".unfinished-{uuid.uuid4().hex}"))


class WholeFolder(_Whole):
    """`with WholeFolder(path) as unfinished:` make the folder `unfinished`; it becomes `path` if nothing is raised."""

    def __init__(self, path: str, unfinished: str = "") -> None:
        """Makes nothing yet.

        Args:
          path: of the folder. Entering makes the folder above it.
          unfinished: the temporary path, `path`.unfinished by default. Entering removes what a killed process has left
            there.
        """
        path = path.rstrip("/")
        super().__init__(path, unfinished or f"{path}.unfinished")

    def __enter__(self) -> str:
        self._clear()
        return super().__enter__()


def write_text(path: str, text: str) -> None:
    """Writes a small file in UTF-8, whole or not at all."""
    with WholeFile(path) as unfinished:
        if "://" not in path:
            with open(unfinished, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            return
        import tensorflow as tf

        with tf.io.gfile.GFile(unfinished, "w") as file:
            file.write(text)


def complete_versions(folder: str, model_files: Collection[str] = MODEL_FILES) -> list[str]:
    """Paths of the numbered folders in `folder` that hold one of `model_files`, the lowest number first."""
    files = _file_system(folder)
    names = [name.rstrip("/") for name in files.listdir(folder)] if files.isdir(folder) else []
    versions = [os.path.join(folder, name) for name in sorted(filter(str.isdecimal, names), key=int)]
    return [path for path in versions if any(files.exists(os.path.join(path, name)) for name in model_files)]


def newest_version(path: str, model_files: Collection[str] = MODEL_FILES) -> str:
    """The last of `complete_versions`; `path` itself if it holds none."""
    return (complete_versions(path, model_files) or [path])[-1]
