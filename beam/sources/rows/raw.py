"""Rows of files before they are pairs, and the error of a row that cannot be read."""

import reprlib
from typing import Any, NamedTuple


class RawRow(NamedTuple):
    """A row of a file, before or after it is decoded.

    Attributes:
      file: path of the file; relative paths of pictures start from its folder.
      place: place in the file: a line, a row or a name.
      content: the argument of the source's `decode`, then its result: {column: value}.
    """

    file: str
    place: int | str
    content: Any

    @property
    def position(self) -> str:
        """The text "file:place", for messages and for the rejects file."""
        return f"{self.file}:{self.place}"


class InvalidRow(ValueError):
    """A row, or what is left of a file, cannot be read; `reason` and `detail` say why it is dropped."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


_SHOWN = 150


class _Short(reprlib.Repr):
    """Cuts texts and bytes inside of lists and objects, too, before it makes text of them."""

    def __init__(self) -> None:
        super().__init__()
        self.maxother = _SHOWN

    def repr_str(self, value: str, _: int) -> str:
        return shown(value)

    def repr_bytes(self, value: bytes, _: int) -> str:
        return shown(value)


_short = _Short()


def shown(value: Any) -> str:
    """Returns a value as a message quotes it: its start, and its size if it is large."""
    if isinstance(value, str | bytes | bytearray) and len(value) > _SHOWN:
        return f"{value[:_SHOWN]!r}... ({len(value)} in all)"
    if isinstance(value, list | tuple | dict):
        return _short.repr(value)
    return repr(value)
