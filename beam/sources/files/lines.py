"""Lines of files, read in bounded pieces: a line of any length takes bounded memory."""

from collections.abc import Iterator
from typing import IO, AnyStr, NamedTuple

_PIECE = 1 << 20


class LongLine(NamedTuple):
    """Stands for a line that was longer than allowed, and was skipped; `size` is its length."""

    size: int


def bounded(file: IO[AnyStr], most: int, ends: tuple[AnyStr, ...]) -> Iterator[AnyStr | LongLine]:
    """Yields each line with its end, or LongLine in place of a line above `most` bytes or characters."""
    while line := file.readline(most + 1):
        if len(line) <= most:
            yield line
            continue
        size, piece = len(line), line
        del line  # before the next one is read
        while piece and not piece.endswith(ends):
            piece = file.readline(_PIECE)
            size += len(piece)
        yield LongLine(size)
