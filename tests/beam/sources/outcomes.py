"""Reads files of a source without Beam, and builds tar files and the rest of their bytes."""

import contextlib
import gzip
import io
import pathlib
import signal
import tarfile
from collections.abc import Iterator

from beam.records import ImageText, Rejected, Skipped
from beam.sources import WebDatasetSource
from beam.sources.rows.columns import to_pair
from beam.sources.rows.source import RowSource, _decode, _raw_rows, _splits
from tests.pictures import shape_pairs

PICTURE = shape_pairs()[0][0]
BLOCK = tarfile.BLOCKSIZE


def all_of(source: RowSource, path: pathlib.Path | str) -> list[ImageText | Rejected | Skipped]:
    """All outcomes of a file."""
    found = [_decode(row, source) for split in _splits(str(path), source) for row in _raw_rows(split, source)]
    return [to_pair(row, source.columns, source.captions, "und", source.name, source.limits) for row in found]


def of_tar(folder: pathlib.Path, content: bytes, source: WebDatasetSource = WebDatasetSource()) -> list:
    """All outcomes of a tar file with this content."""
    (folder / "a.tar").write_bytes(content)
    return all_of(source, folder / "a.tar")


def captions(outcomes: list) -> list[str]:
    return [row.caption for row in outcomes if isinstance(row, ImageText)]


def reasons(outcomes: list) -> list[str]:
    return [row.reason for row in outcomes if isinstance(row, Rejected)]


def skipped(outcomes: list) -> dict[str, int]:
    return {one.reason: one.count for one in outcomes if isinstance(one, Skipped)}


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, **fields: object) -> bytes:
    """A GNU header block; `fields` are further fields of tarfile.TarInfo."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % BLOCK)


def member(name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    return header(name, len(content), kind) + padded(content)


def pair(key: str) -> bytes:
    """The members of a sample whose caption is its key."""
    return member(f"{key}.png", PICTURE) + member(f"{key}.txt", key.encode())


def tar(*parts: bytes) -> bytes:
    """A tar file of these members, with its end mark."""
    return b"".join(parts) + bytes(2 * BLOCK)


def pax(fields: dict[str, str], kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header, as tarfile writes it."""
    return tarfile.TarInfo._create_pax_generic_header(fields, kind, "utf-8")


def gzip_of_zeros(count: int, before: bytes = b"", after: bytes = b"") -> bytes:
    """Gzip of a run of zeros, without making it in memory."""
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=9) as file:
        file.write(before)
        for _ in range(count >> 20):
            file.write(bytes(1 << 20))
        file.write(after)
    return stream.getvalue()


class HangsError(BaseException):
    """No Exception, because a source makes a reject of each."""


@contextlib.contextmanager
def watchdog(seconds: int = 20) -> Iterator[None]:
    """Fails what takes longer."""

    def fail(*_: object) -> None:
        raise HangsError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def details(outcomes: list) -> str:
    """The details of all rejects."""
    return " ".join(row.detail for row in outcomes if isinstance(row, Rejected))
