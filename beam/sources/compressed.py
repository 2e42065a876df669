"""Opens and decompresses the files of sources, and detects truncated ones, which Beam's decompression does not."""

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
    """Opens a file for reading, on any file system of Beam; recognises gzip, bzip2 and xz by the first bytes.

    Raises:
      EOFError: the file is damaged or cut short, or compressed with zstd; also raised inside the `with` block.
    """
    with named_damage(), FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        stream = io.BufferedReader(_Raw(file), 1 << 16)
        first = stream.peek(6)
        if first.startswith(_ZSTD):
            raise EOFError("zstd is not supported; decompress the file, or compress it with gzip")
        for start, decompressed in _BY_FIRST_BYTES.items():
            if first.startswith(start):
                with decompressed(stream) as it:
                    yield cast(IO[bytes], it)
                return
        yield cast(IO[bytes], stream)


@contextlib.contextmanager
def named_damage() -> Iterator[None]:
    """Turns the errors of decoders for damaged content into EOFError; a failing disk still raises OSError."""
    try:
        yield
    except (zlib.error, lzma.LZMAError) as error:
        raise EOFError(str(error)) from error
    except OSError as error:
        if error.errno is None:
            raise EOFError(str(error)) from error
        raise


class _Raw(io.RawIOBase):
    """Adapts a file that Beam opened to io.RawIOBase."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = self._file.read(len(buffer))
        buffer[: len(read)] = read
        return len(read)
