"""On one machine, pictures and rows wait on its disk until the filters have decided which rows stay.

Beam's in-process runner holds in memory everything that waits between two stages, and copies it a dozen times. Other
engines store what they shuffle themselves, and keep the pictures there. `beam.shuffle` keeps all other elements here.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from models import files

FOLDER = ".waiting-"
"""The start of the name of a spool's folder."""


class Spooled(NamedTuple):
    """The place of a picture: `size` bytes of the file at `path`, from byte `offset` on."""

    path: str
    offset: int
    size: int


class NoRoom(ValueError):
    """The waiting pictures do not fit on the disk, or the process may not write there."""


_BESIDE: weakref.WeakKeyDictionary[beam.Pipeline, str] = weakref.WeakKeyDictionary()


class Spool:
    """A folder of waiting pictures or rows for one transform.

    It lies beside the shards if these are on this machine, else in the system's temporary folder. It is removed when
    all is read or the shards are written, or when the process ends; only a killed process leaves it.
    """

    def __init__(self, beside: str) -> None:
        folder = beside if files.is_local(beside) else tempfile.gettempdir()
        self._folder = os.path.join(folder, f"{FOLDER}{uuid.uuid4().hex}")
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)

    @staticmethod
    def lie_beside(pipeline: beam.Pipeline, examples_folder: str) -> None:
        """Makes the spools of `of` lie beside these shards; call it before the pipeline's transforms are added."""
        _BESIDE.setdefault(pipeline, examples_folder)

    @classmethod
    def of(cls, pipeline: beam.Pipeline) -> "Spool":
        """A new spool for a transform of the pipeline."""
        return cls(_BESIDE.get(pipeline, tempfile.gettempdir()))

    @property
    def folder(self) -> str:
        """Path of the folder; the first worker that writes makes it."""
        return self._folder

    @staticmethod
    def suits(pipeline: beam.Pipeline) -> bool:
        """Whether all workers of the pipeline's engine share this machine's disk."""
        return isinstance(pipeline.runner, FnApiRunner)

    def write(self) -> beam.PTransform:
        """PCollection of tuples whose last element is a picture -> the same with `Spooled` in its place."""
        return beam.ParDo(_Write(self._folder))

    def remove_after(self) -> beam.PTransform:
        """PCollection -> the same elements; removes the folder once all of them are there."""
        folder = self._folder

        def remove(everything: list[Any]) -> list[Any]:
            shutil.rmtree(folder, ignore_errors=True)
            return everything

        return beam.combiners.ToList() | beam.FlatMap(remove)


class _Write(beam.DoFn):
    """Writes one file a bundle; the in-process runner makes one bundle a worker."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def start_bundle(self) -> None:
        self._file: BinaryIO | None = None
        self._end = 0

    def process(self, pictured: Any) -> Iterator[Any]:
        *facts, image = pictured
        with naming_folder(self._folder):
            if not self._file:
                os.makedirs(self._folder, exist_ok=True)
                self._path = os.path.join(self._folder, uuid.uuid4().hex)
                self._file = open(self._path, "xb")  # noqa: SIM115 (closed with the bundle)
            self._file.write(image)
        yield (*facts, Spooled(self._path, self._end, len(image)))
        self._end += len(image)

    def finish_bundle(self) -> None:
        if self._file:
            with naming_folder(self._folder):
                self._file.close()


@contextlib.contextmanager
def naming_folder(folder: str) -> Iterator[None]:
    """Raises NoRoom, which names the folder, in place of an OSError."""
    try:
        yield
    except OSError as error:
        raise NoRoom(
            f"{error.strerror}: {folder}, where pictures wait until the filters have decided which rows stay; it needs "
            "room for all pictures that are read, and the shards need more. Free some room or write to another disk; "
            "if the shards go to a bucket, set TMPDIR"
        ) from error


def load(pictures: Iterable[bytes | Spooled]) -> Iterator[bytes]:
    """Yields each picture, reading spooled ones from the disk.

    Raises:
      FileNotFoundError, EOFError: another process has removed or cut the spool's files.
    """
    opened: dict[str, BinaryIO] = {}
    try:
        for picture in pictures:
            if isinstance(picture, bytes):
                yield picture
                continue
            path, offset, size = picture
            if path not in opened:
                opened[path] = open(path, "rb")  # noqa: SIM115 (closed below)
            opened[path].seek(offset)
            image = opened[path].read(size)
            if len(image) != size:
                raise EOFError(f"{path} ends within a picture, at byte {offset}; run the command again")
            yield image
    finally:
        for file in opened.values():
            file.close()
