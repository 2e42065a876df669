"""Arrays in an .npz, by name: shapes first, values one at a time, and never a pickle."""

import struct
import zipfile
import zlib

import ml_dtypes
import numpy as np

from models.pretrained.errors import PretrainedError
from models.pretrained.layout import Shapes

# What zipfile and numpy raise of bytes that are not what they say; RuntimeError stands for encryption and odd methods.
_BROKEN = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, struct.error)


class Reader:
    """An open .npz.

    Raises:
      PretrainedError: it is no .npz, cut short, or holds an array that is pickled or larger than its header says.
    """

    shapes: Shapes

    def __init__(self, path: str) -> None:
        self.path = path
        self.shapes = {}
        self._members: dict[str, zipfile.ZipInfo] = {}
        try:
            self._zip = zipfile.ZipFile(path)
            members = self._zip.infolist()
        except _BROKEN as error:
            raise self._error(error) from error
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in self._members:
                raise PretrainedError(f"{path}: {name} is there twice; take the file again")
            self._members[name] = member
            self.shapes[name] = self._shape(member)

    def read(self, name: str) -> np.ndarray:
        """The array; bfloat16, which numpy stores as two bytes of no type, is recognised."""
        try:
            with self._zip.open(self._members[name]) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
        except _BROKEN as error:
            raise self._error(error, name) from error
        return array.view(ml_dtypes.bfloat16) if array.dtype == np.dtype("V2") else array

    def _shape(self, member: zipfile.ZipInfo) -> tuple[int, ...]:
        """The shape that the array's header tells, held against the bytes that are there before any are read."""
        try:
            with self._zip.open(member) as file:
                version = np.lib.format.read_magic(file)
                readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                shape, _, dtype = readers[version](file)
                header = file.tell()
        except _BROKEN as error:
            raise self._error(error, member.filename) from error
        if dtype.hasobject:
            raise PretrainedError(
                f"{self.path}: {member.filename} is a pickle, which may run any code and is never loaded; "
                "save arrays of numbers"
            )
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if size != member.file_size - header:
            raise PretrainedError(
                f"{self.path}: {member.filename} says {list(shape)} of {dtype}, {size:,} bytes, but has "
                f"{member.file_size - header:,}; the file is damaged, take it again"
            )
        if not size:
            raise PretrainedError(f"{self.path}: {member.filename} is empty, {list(shape)}; take the file again")
        return tuple(shape)

    def _error(self, error: BaseException, name: str = "") -> PretrainedError:
        where = f"{self.path}: {name}" if name else self.path
        missing = isinstance(error, FileNotFoundError)
        fix = "name one that is there" if missing else "it is no .npz or was cut short, take it again"
        return PretrainedError(f"{where} cannot be read ({error}); {fix}")
