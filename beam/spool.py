"""Where one machine runs the plane, pictures lie on its disk until it is known which rows stay.

Beam's in-process runner holds everything that waits between two stages in memory, and copies it a dozen times on the
way. Other engines have storage of their own for what they shuffle, and keep the pictures there.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

FOLDER = ".pictures-"
"""How the name of a spool's folder starts."""


class Spooled(NamedTuple):
    """Where a picture lies: `size` bytes of the file at `path`, from `offset` on."""

    path: str
    offset: int
    size: int


class NoRoom(ValueError):
    """The pictures that wait do not fit on the disk, or may not be written to it."""


class Spool:
    """A folder of pictures for one pipeline, beside what is written of them if that is on this machine.

    It goes when the shards are written, or with the process that made it; only one that is killed leaves it.
    """

    def __init__(self, beside: str) -> None:
        folder = tempfile.gettempdir() if "://" in beside else beside
        self._folder = os.path.join(folder, f"{FOLDER}{uuid.uuid4().hex}")
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)

    @staticmethod
    def suits(pipeline: beam.Pipeline) -> bool:
        """Whether all workers of the pipeline's engine share this machine's disk."""
        return isinstance(pipeline.runner, FnApiRunner)

    def write(self) -> beam.PTransform:
        """PCollection of tuples whose last element is a picture -> the same with `Spooled` in its place."""
        return beam.ParDo(_Write(self._folder))

    def remove_after(self) -> beam.PTransform:
        """PCollection -> the same; when all of it is there, the pictures go."""
        folder = self._folder

        def remove(everything: list[Any]) -> list[Any]:
            shutil.rmtree(folder, ignore_errors=True)
            return everything

        return beam.combiners.ToList() | beam.FlatMap(remove)


class _Write(beam.DoFn):
    """One file for each bundle, of which the in-process runner makes one a worker."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def start_bundle(self) -> None:
        self._file: BinaryIO | None = None
        self._end = 0

    def process(self, pictured: Any) -> Iterator[Any]:
        *facts, image = pictured
        with _named(self._folder):
            if not self._file:
                os.makedirs(self._folder, exist_ok=True)
                self._path = os.path.join(self._folder, uuid.uuid4().hex)
                self._file = open(self._path, "xb")  # noqa: SIM115 (closed with the bundle)
            self._file.write(image)
        yield (*facts, Spooled(self._path, self._end, len(image)))
        self._end += len(image)

    def finish_bundle(self) -> None:
        if self._file:
            with _named(self._folder):
                self._file.close()


@contextlib.contextmanager
def _named(folder: str) -> Iterator[None]:
    """Says whose room it was that ran out."""
    try:
        yield
    except OSError as error:
        raise NoRoom(
            f"{error.strerror}: {folder}, where pictures wait until it is known which rows stay; it takes the room of "
            "all pictures read, beside that of the shards. Free some, write elsewhere, or, where the shards go to a "
            "bucket, set TMPDIR"
        ) from error


def load(pictures: Iterable[bytes | Spooled]) -> Iterator[bytes]:
    """Each picture, from the spool where it lies there.

    Raises:
      FileNotFoundError, EOFError: somebody has removed or cut the spool's files.
    """
    files: dict[str, BinaryIO] = {}
    try:
        for picture in pictures:
            if isinstance(picture, bytes):
                yield picture
                continue
            path, offset, size = picture
            if path not in files:
                files[path] = open(path, "rb")  # noqa: SIM115 (closed below)
            files[path].seek(offset)
            image = files[path].read(size)
            if len(image) != size:
                raise EOFError(f"{path} ends within a picture, at byte {offset}; run the command again")
            yield image
    finally:
        for file in files.values():
            file.close()
