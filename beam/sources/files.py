"""Files that sources read, decompressed so that one which breaks off says so; Beam's own decompression does not."""

import bz2
import contextlib
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from typing import IO, Any, cast

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

_BY_FIRST_BYTES: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_ZSTD = b"\x28\xb5\x2f\xfd"


@contextlib.contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """Opens a file for reading, on any file system Beam knows; gzip, bzip2 and xz are told by the first bytes.

    Raises:
      EOFError: in the `with` block, too: the file is damaged or cut short.
    """
    with named_damage(), FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        stream = io.BufferedReader(_Raw(file), 1 << 16)
        first = stream.peek(6)
        if first.startswith(_ZSTD):
            raise EOFError("zstd is not read; decompress it, or compress it with gzip")
        for start, decompressed in _BY_FIRST_BYTES.items():
            if first.startswith(start):
                with decompressed(stream) as it:
                    yield cast(IO[bytes], it)
                return
        yield cast(IO[bytes], stream)


@contextlib.contextmanager
def named_damage() -> Iterator[None]:
    """Turns what decoders raise for damaged content into EOFError; a disk that fails stays an OSError."""
    try:
        yield
    except (zlib.error, lzma.LZMAError) as error:
        raise EOFError(str(error)) from error
    except OSError as error:
        if error.errno is None:
            raise EOFError(str(error)) from error
        raise


class _Raw(io.RawIOBase):
    """What Beam opens, as io wants it."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = self._file.read(len(buffer))
        buffer[: len(read)] = read
        return len(read)
