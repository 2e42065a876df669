"""Reads arrays of an .npz: all shapes first, then one array at a time. It never loads a pickle."""

import struct
import zipfile
import zlib

import ml_dtypes
import numpy as np

from models.pretrained.errors import PretrainedError
from models.pretrained.layout import Shapes

# What zipfile and numpy raise for damaged bytes; RuntimeError is for encryption and unknown compression.
_BROKEN = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, struct.error)


class NpzFile:
    """An open .npz.

    Attributes:
      shapes: {name of an array: shape}.

    Raises:
      PretrainedError: the file is not an .npz or was cut short, or an array is a pickle, is empty, or has another size
        than its header says.
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
                raise PretrainedError(f"{path}: {name} is there twice; get the file again")
            self._members[name] = member
            self.shapes[name] = self._shape(member)

    def read(self, name: str) -> np.ndarray:
        """Returns the array; two bytes without a type become bfloat16, which numpy stores so."""
        try:
            with self._zip.open(self._members[name]) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
        except _BROKEN as error:
            raise self._error(error, name) from error
        return array.view(ml_dtypes.bfloat16) if array.dtype == np.dtype("V2") else array

    def _shape(self, member: zipfile.ZipInfo) -> tuple[int, ...]:
        """Returns the shape in the array's header, once the file is known to have as many bytes."""
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
                f"{member.file_size - header:,}; the file is damaged, get it again"
            )
        if not size:
            raise PretrainedError(f"{self.path}: {member.filename} is empty, {list(shape)}; get the file again")
        return tuple(shape)

    def _error(self, error: BaseException, name: str = "") -> PretrainedError:
        where = f"{self.path}: {name}" if name else self.path
        missing = isinstance(error, FileNotFoundError)
        fix = "name an existing file" if missing else "it is not an .npz or was cut short, get it again"
        return PretrainedError(f"{where} cannot be read ({error}); {fix}")
