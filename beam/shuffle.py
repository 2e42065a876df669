"""Beam's shuffles, whose elements wait on the disk if all workers share one machine.

Beam's in-process runner holds in memory everything that waits between two stages: some kB for each row. Here, workers
write the elements to files, and Beam shuffles only the places of these files. Other engines store what they shuffle
themselves, and use Beam's own transforms.
"""

import collections
import contextlib
import os
import pickle
import uuid
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions
from apache_beam.transforms.window import GlobalWindows

from beam.spool import Spool, naming_folder

_PARTITIONS = 256  # a worker holds the elements of one partition, so 12 million rows are 47,000 at a time
_BUFFER = 1 << 21  # bytes that wait in a worker's memory before they are written
_ROWS = 1 << 10  # largest number of elements of a file of `Wait`

PCollections: TypeAlias = beam.PCollection | tuple[beam.PCollection, ...]
"""One PCollection, or several that are read as one."""


class File(NamedTuple):
    """A file of pickled elements: its path and its size in bytes."""

    path: str
    size: int


class GroupByKey(beam.PTransform):
    """PCollections of (key, value) -> PCollection of (key, values); see `beam.GroupByKey`.

    Equal keys must have equal `repr`.
    """

    @beam.typehints.no_annotations  # a tuple of PCollections is no PCollection, which Beam would warn about
    def expand(self, pairs: PCollections) -> beam.PCollection:
        if not Spool.suits(several(pairs)[0].pipeline):
            return _flattened(pairs) | beam.GroupByKey()
        tagged = [("", each) for each in several(pairs)]
        return _partitions(tagged) | "Group" >> beam.FlatMap(_groups)


class CoGroupByKey(beam.PTransform):
    """{tag: PCollection of (key, value)} -> PCollection of (key, {tag: list of values}); see `beam.CoGroupByKey`."""

    @beam.typehints.no_annotations
    def expand(self, tagged: dict[str, beam.PCollection]) -> beam.PCollection:
        if not Spool.suits(next(iter(tagged.values())).pipeline):
            return tagged | beam.CoGroupByKey()
        return _partitions([*tagged.items()]) | "Group" >> beam.FlatMap(_joined_groups, [*tagged])


class Wait(beam.PTransform):
    """PCollections -> PCollection of their elements, which wait outside of memory until the next stage can start.

    Use it before a stage that waits for a side input, and in place of beam.Flatten for rows.
    """

    @beam.typehints.no_annotations
    def expand(self, elements: PCollections) -> beam.PCollection:
        if not Spool.suits(several(elements)[0].pipeline):
            return _flattened(elements)
        folder = Spool.of(several(elements)[0].pipeline).folder
        files = [each | f"Write {n}" >> beam.ParDo(_WriteFiles(folder)) for n, each in enumerate(several(elements))]
        return _flattened(files) | beam.GroupByKey() | "Read" >> beam.FlatMap(_read_group)


class Spread(beam.PTransform):
    """PCollection -> the same elements, spread over all workers; see `beam.Reshuffle`."""

    def expand(self, elements: beam.PCollection) -> beam.PCollection:
        pipeline = elements.pipeline
        if not Spool.suits(pipeline):
            return elements | beam.Reshuffle()
        one_worker = (pipeline.options.view_as(DirectOptions).direct_num_workers or os.cpu_count()) == 1
        return elements if one_worker else elements | Wait()


class Tally(beam.PTransform):
    """PCollection of (name, count) -> PCollection of (name, count); on one machine, one pair of a name and a bundle."""

    def expand(self, counted: beam.PCollection) -> beam.PCollection:
        return counted | beam.ParDo(_Tally()) if Spool.suits(counted.pipeline) else counted


class _Tally(beam.DoFn):
    def start_bundle(self) -> None:
        self._counts: dict[str, int] = collections.Counter()

    def process(self, counted: Any) -> Iterable[Any]:
        name, count = counted
        self._counts[name] += count
        return ()

    def finish_bundle(self) -> Iterator[Any]:
        yield from (GlobalWindows.windowed_value(counted) for counted in self._counts.items())


def several(elements: PCollections) -> list[beam.PCollection]:
    """One PCollection or several, as a list."""
    return [elements] if isinstance(elements, beam.PCollection) else list(elements)


def _flattened(elements: PCollections) -> beam.PCollection:
    each = several(elements)
    return each | beam.Flatten() if len(each) > 1 else each[0]


def _partitions(tagged: list[tuple[str, beam.PCollection]]) -> beam.PCollection:
    """PCollections of pairs -> PCollection of (number of a partition, (tag, File)s); a key lies in one partition."""
    folder = Spool.of(tagged[0][1].pipeline).folder
    files = [
        pairs | f"Write {n} {tag}" >> beam.ParDo(_WritePartitions(folder, tag)) for n, (tag, pairs) in enumerate(tagged)
    ]
    return _flattened(files) | beam.GroupByKey()


class _WritePartitions(beam.DoFn):
    """Writes a file for each partition of a bundle; the in-process runner makes one bundle a worker."""

    def __init__(self, folder: str, tag: str) -> None:
        self._folder, self._tag = folder, tag

    def start_bundle(self) -> None:
        self._name = uuid.uuid4().hex
        self._sizes: dict[int, int] = collections.Counter()
        self._waiting: dict[int, list[bytes]] = collections.defaultdict(list)
        self._waiting_bytes = 0

    def process(self, pair: Any) -> Iterable[Any]:
        record = pickle.dumps(pair, pickle.HIGHEST_PROTOCOL)
        # Not hash(), which differs between processes.
        self._waiting[zlib.crc32(repr(pair[0]).encode()) % _PARTITIONS].append(record)
        self._waiting_bytes += len(record)
        if self._waiting_bytes > _BUFFER:
            self._write()
        return ()

    def finish_bundle(self) -> Iterator[Any]:
        self._write()
        for partition, size in self._sizes.items():
            yield GlobalWindows.windowed_value((partition, (self._tag, File(self._path(partition), size))))

    def _path(self, partition: int) -> str:
        return os.path.join(self._folder, f"{self._name}-{partition}")

    def _write(self) -> None:
        for partition, records in self._waiting.items():
            self._sizes[partition] += _append(self._path(partition), records)
        self._waiting.clear()
        self._waiting_bytes = 0


class _WriteFiles(beam.DoFn):
    """Elements -> (name, File) of files of at most _ROWS elements, or of _BUFFER bytes and one element."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def start_bundle(self) -> None:
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    def process(self, element: Any) -> Iterator[Any]:
        record = pickle.dumps(element, pickle.HIGHEST_PROTOCOL)
        self._waiting.append(record)
        self._waiting_bytes += len(record)
        if self._waiting_bytes > _BUFFER or len(self._waiting) == _ROWS:
            yield self._written()

    def finish_bundle(self) -> Iterator[Any]:
        if self._waiting:
            yield GlobalWindows.windowed_value(self._written())

    def _written(self) -> tuple[str, File]:
        name = uuid.uuid4().hex
        path = os.path.join(self._folder, name)
        size = _append(path, self._waiting)
        self.start_bundle()
        return name, File(path, size)


def _append(path: str, records: Iterable[bytes]) -> int:
    """Appends to a file and returns how many bytes it has added."""
    content = b"".join(records)
    folder = os.path.dirname(path)
    with naming_folder(folder):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with open(path, "ab") as file:
            file.write(content)
    return len(content)


def _read(file: File) -> Iterator[Any]:
    """The elements of a file, which is removed: each is read once."""
    with open(file.path, "rb") as stream:
        os.unlink(file.path)
        if os.fstat(stream.fileno()).st_size != file.size:
            raise EOFError(f"{file.path} is not as it was written; another process has changed it: run again")
        while stream.tell() < file.size:
            yield pickle.load(stream)
    with contextlib.suppress(OSError):  # other files wait in the folder
        os.rmdir(os.path.dirname(file.path))


def _read_group(named: tuple[str, Iterable[File]]) -> Iterator[Any]:
    for file in named[1]:
        yield from _read(file)


def _groups(partition: tuple[int, Iterable[tuple[str, File]]]) -> Iterator[tuple[Any, list[Any]]]:
    table: dict[Any, list[Any]] = {}
    for _, file in partition[1]:
        for key, value in _read(file):
            table.setdefault(key, []).append(value)
    while table:
        yield table.popitem()


def _joined_groups(
    partition: tuple[int, Iterable[tuple[str, File]]], tags: list[str]
) -> Iterator[tuple[Any, dict[str, list[Any]]]]:
    table: dict[Any, dict[str, list[Any]]] = {}
    for tag, file in partition[1]:
        for key, value in _read(file):
            if key not in table:
                table[key] = {tag: [] for tag in tags}
            table[key][tag].append(value)
    while table:
        yield table.popitem()
