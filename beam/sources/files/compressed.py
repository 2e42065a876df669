"""Opens and decompresses files of sources; detects truncated ones and bombs, which Beam's decompression does not."""

import bz2
import contextlib
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from beam.sources.files import local_files
from beam.sources.limits import Limits

_PIECE = 1 << 16
_ZSTD = b"\x28\xb5\x2f\xfd"


@contextlib.contextmanager
def opened(path: str, limits: Limits = Limits()) -> Iterator[IO[bytes]]:
    """Opens a file for reading, on any file system of Beam; recognises gzip, bzip2 and xz by the first bytes.

    Raises:
      EOFError: the file is damaged or cut short, decompresses to more than `limits` allow, is compressed with zstd, or
        is no regular file; also raised inside the `with` block.
    """
    with named_damage(), _opened(path) as file:
        stream = io.BufferedReader(file if isinstance(file, io.RawIOBase) else _Raw(file), _PIECE)
        first = stream.peek(6)
        if first.startswith(_ZSTD):
            raise EOFError("zstd is not supported; decompress the file, or compress it with gzip")
        decoder = _decoder_for(first, limits)
        if decoder:
            stream = io.BufferedReader(_Decompressed(cast(IO[bytes], stream), decoder, limits), _PIECE)
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


def _opened(path: str) -> Any:
    if FileSystems.get_scheme(path) is None:
        return local_files.open_regular(path)
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def _decoder_for(first: bytes, limits: Limits) -> Callable[[], Any] | None:
    """Returns a function that makes a decoder for one compressed stream, by the first bytes of the file."""
    if first.startswith(b"\x1f\x8b"):
        return _GzipDecoder
    if first.startswith(b"BZh"):
        return bz2.BZ2Decompressor
    if first.startswith(b"\xfd7zXZ\x00"):
        return lambda: _XzDecoder(limits.dictionary_bytes)
    return None


class _GzipDecoder:
    """Decodes one member of a gzip file, with the interface of bz2.BZ2Decompressor."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(16 + zlib.MAX_WBITS)  # 16: with gzip's header and checksum

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


class _XzDecoder:
    """Decodes one xz stream, with the interface of bz2.BZ2Decompressor and a limit of memory."""

    def __init__(self, dictionary_bytes: int) -> None:
        self._limit = dictionary_bytes
        self._lzma = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=dictionary_bytes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lzma, name)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            return self._lzma.decompress(data, max_length)
        except lzma.LZMAError as error:
            if "limit" not in str(error):
                raise
            raise EOFError(
                f"the xz file needs more memory than Limits.dictionary_bytes, which is {self._limit}; raise it, or "
                "compress the file again, such as with xz -6"
            ) from error


class _Decompressed(io.RawIOBase):
    """The decompressed bytes of a file: of all its compressed streams, one after another."""

    def __init__(self, compressed: IO[bytes], decoder: Callable[[], Any], limits: Limits) -> None:
        super().__init__()
        self._compressed, self._make_decoder, self._limits = compressed, decoder, limits
        self._decoder = decoder()
        self._rest = b""  # what follows the stream that ended last
        self._taken = self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._decoder.eof or self._next_stream():
            data = (self._rest or self._take()) if self._decoder.needs_input else b""
            if self._decoder.needs_input:
                self._rest = b""
                if not data:
                    raise EOFError("the compressed data end before their end mark; the file is cut short")
            piece = self._decoder.decompress(data, len(buffer))
            if self._decoder.eof:
                self._rest = self._decoder.unused_data
            if piece:
                self._count(len(piece))
                buffer[: len(piece)] = piece
                return len(piece)
        return 0

    def _next_stream(self) -> bool:
        """Starts the next compressed stream, after padding; returns False at the end of the file."""
        rest = self._rest.lstrip(b"\0")
        while not rest and (taken := self._take()):
            rest = taken.lstrip(b"\0")
        self._rest = rest
        if rest:
            self._decoder = self._make_decoder()
        return bool(rest)

    def _take(self) -> bytes:
        data = self._compressed.read(_PIECE)
        self._taken += len(data)
        return data

    def _count(self, size: int) -> None:
        self._given += size
        limits = self._limits
        if self._given > limits.line_bytes + limits.expansion * self._taken:
            raise EOFError(
                f"{self._taken} compressed bytes give {self._given} bytes or more, but Limits.expansion allows "
                f"{limits.expansion} for each after the first {limits.line_bytes}; raise it if the file is right"
            )


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
