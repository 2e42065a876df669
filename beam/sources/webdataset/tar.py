"""Reads tar files as a stream, member by member, in bounded memory.

tarfile reads an extended header of any size into memory, calls itself for each further one, and ends without an error
at a broken header. So this module takes only tarfile's parser of a header block.
"""

import tarfile
from collections.abc import Iterator
from typing import IO, NamedTuple

from beam.sources.limits import Limits
from beam.sources.rows.raw import shown

_BLOCK = tarfile.BLOCKSIZE
_PIECE = 1 << 20
_PAX = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
_EXTENDED = (*_PAX, *_LONG)
_LINKS = (tarfile.SYMTYPE, tarfile.LNKTYPE)
_DEVICES = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
_INVALID = "invalid"  # stands for a broken pax header
_SPARSE = "GNU.sparse."
_FIELDS = ("path", "linkpath", "size")
_LARGEST_SIZE = 20  # digits


class Member(NamedTuple):
    r"""A member of a tar file that is no folder.

    Attributes:
      name: its path in the tar file; bytes that are not UTF-8 appear as `\xff`.
      size: number of its bytes in the tar file.
      reason: why its content cannot be used, as in `Rejected`; "" if it can.
      detail: as in `Rejected`.
    """

    name: str
    size: int
    reason: str = ""
    detail: str = ""


class Tar:
    """The members of a tar file in v7, ustar, pax or GNU format; or of several, one after another.

    Iteration gives Member and raises EOFError if the rest of the file cannot be read.
    """

    def __init__(self, file: IO[bytes], limits: Limits) -> None:
        self._file, self._limits = file, limits
        self._position = 0
        self._left = 0  # bytes of the current member, with padding, that are not read
        self._common: dict[str, str] = {}  # fields of global headers

    def __iter__(self) -> Iterator[Member]:
        while True:
            fields, extended, block = dict(self._common), 0, self._header_block()
            while block and (header := self._parsed(block)).type in _EXTENDED:
                extended += _BLOCK + header.size
                fields.update(self._extended(header, extended))
                block = self._header_block(inside=True)
            if not block:
                return
            if header.type != tarfile.DIRTYPE:
                yield self._member(header, block, fields, extended)

    def read(self, size: int) -> bytes:
        """Returns the first `size` bytes of the member that the iteration gave last."""
        content = self._take(size)
        self._left -= size
        return content

    def _member(self, header: tarfile.TarInfo, block: bytes, fields: dict[str, str], extended: int) -> Member:
        name = fields.get("path") or header.name
        size = _checked_size(fields.get("size") or header.size)
        if header.type in (*_LINKS, *_DEVICES):
            size = 0
        sparse = header.type == tarfile.GNUTYPE_SPARSE
        if sparse:
            self._skip_sparse_map(block)
        self._left = -(-size // _BLOCK) * _BLOCK
        detail = ""
        if extended > self._limits.header_bytes:
            detail = f"its extended headers have {extended} bytes"
            detail += f", but Limits.header_bytes is {self._limits.header_bytes}; raise it"
            return Member(name, size, "header_too_large", detail)
        if _INVALID in fields:
            detail = "its extended header is invalid; make the tar file again"
        elif sparse or any(field.startswith(_SPARSE) for field in fields):
            detail = "it is a sparse file; make the tar file without --sparse"
        elif header.type in _LINKS:
            target = shown(fields.get("linkpath") or header.linkname)
            detail = f"it is a link to {target}; make the tar file with --dereference --hard-dereference"
        elif header.type in _DEVICES:
            detail = "it is a device or a FIFO, but must be a regular file"
        elif not header.isreg():
            detail = f"it has the unknown type {header.type!r}, but must be a regular file"
        return Member(name, size, "invalid_member" if detail else "", detail)

    def _header_block(self, inside: bool = False) -> bytes:
        """Returns the next block that is not zero, or b"" at the end of the file.

        `inside` says that an extended header came before, so that zeros are no end mark.
        """
        self._skip(self._left)
        self._left = 0
        ended = False
        while not (block := self._file.read(_BLOCK)).strip(b"\0"):
            self._position += len(block)
            if inside or not (ended or block):
                raise EOFError("the tar file has no end mark; it is cut short, or its writer did not close it")
            if len(block) < _BLOCK:
                return b""
            ended = True
        self._position += len(block)
        return block

    def _parsed(self, block: bytes) -> tarfile.TarInfo:
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "backslashreplace")
        except tarfile.HeaderError as error:
            at = self._position - len(block)
            raise EOFError(f"the {len(block)} bytes at {at} are no header of a tar member ({error})") from error
        _checked_size(header.size)
        return header

    def _extended(self, header: tarfile.TarInfo, extended: int) -> dict[str, str]:
        """Reads an extended header; returns its fields, or none if it would exceed the limit."""
        self._left = -(-header.size // _BLOCK) * _BLOCK
        if extended > self._limits.header_bytes:
            return {}
        content = self.read(header.size)
        if header.type in _LONG:
            return {_LONG[header.type]: content.partition(b"\0")[0].decode("utf-8", "backslashreplace")}
        fields = _pax_fields(content)
        if header.type == tarfile.XGLTYPE:
            self._common.update({name: fields[name] for name in fields if name != _INVALID})
        return fields

    def _skip_sparse_map(self, block: bytes) -> None:
        more = block[482]
        while more:
            more = self._take(_BLOCK)[504]

    def _take(self, size: int) -> bytes:
        content = self._file.read(size)
        self._position += len(content)
        if len(content) < size:
            raise EOFError(f"unexpected end of data: {size - len(content)} bytes of a member are missing")
        return content

    def _skip(self, size: int) -> None:
        while size:
            size -= len(self._take(min(size, _PIECE)))


def _pax_fields(content: bytes) -> dict[str, str]:
    r"""Returns the fields of a pax header that say how to read a member; {_INVALID: ""} if the header is broken.

    Each field is "LENGTH NAME=VALUE\n", where LENGTH counts all of these bytes.
    """
    fields: dict[str, str] = {}
    start = 0
    while start < len(content):
        digits = content[start : start + _LARGEST_SIZE].partition(b" ")[0]
        end = start + int(digits) if digits.isdigit() else 0
        if not start + len(digits) + 1 < end <= len(content):
            return fields if not content[start:].strip(b"\0") else {_INVALID: ""}
        name, equals, value = content[start + len(digits) + 1 : end - 1].partition(b"=")
        if not equals or content[end - 1 : end] != b"\n":
            return {_INVALID: ""}
        text = name.decode("utf-8", "backslashreplace")
        if text in _FIELDS:
            fields[text] = value.decode("utf-8", "backslashreplace")
        elif text.startswith(_SPARSE):
            fields[_SPARSE] = ""
        start = end
    return fields


def _checked_size(size: int | str) -> int:
    if isinstance(size, str) and not (size.isascii() and size.isdecimal() and len(size) <= _LARGEST_SIZE):
        raise EOFError(f"a member has the size {shown(size)}, but must have a number")
    if int(size) < 0:
        raise EOFError(f"a member has the size {size}, but must have 0 bytes or more")
    return int(size)
