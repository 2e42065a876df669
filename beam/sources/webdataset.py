"""WebDataset: tar files in which the members of a sample share their name up to the first dot."""

import dataclasses
import json
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from typing import Any, ClassVar

import apache_beam as beam

from beam.records import Outcome, Rejected
from beam.sources import fields

_PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "ppm")


@dataclasses.dataclass(frozen=True)
class WebDatasetSource(fields.Files):
    """A sample is a picture (.jpg, .png and so on), its caption (.txt) and, where there is one, more fields (.json).

    The fields are those of `JsonlSource`, or are named by `columns`; the caption in .txt wins over that in .json. A tar
    file that is cut short loses the samples after the cut only, with a reject that names it.
    """

    name: ClassVar[str] = "tar"

    def read(self) -> beam.PTransform:
        return _Read(self.paths(), self.columns)


class _Read(beam.PTransform):
    def __init__(self, paths: list[str], columns: dict[str, str]) -> None:
        super().__init__()
        self._paths, self._columns = paths, columns

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        return pipeline | beam.Create(self._paths) | beam.Reshuffle() | "Samples" >> beam.FlatMap(_rows, self._columns)


_NO_HEADER = (tarfile.EmptyHeaderError, tarfile.TruncatedHeaderError)  # type: ignore[attr-defined]


class _NoEnd(tarfile.ReadError):
    """The file ends without the mark of an archive's end, which tarfile lets pass: it may have been cut there."""


class _Member(tarfile.TarInfo):
    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_Member":
        try:
            return super().fromtarfile(archive)
        except _NO_HEADER as error:
            raise _NoEnd("the mark of the archive's end is missing") from error


def _rows(path: str, columns: dict[str, str]) -> Iterator[Outcome]:
    sample: dict[str, bytes] = {}
    name, number = "", 0
    try:
        with fields.opened(path) as file, tarfile.open(fileobj=file, mode="r|*", tarinfo=_Member) as tar:
            for member in tar:
                if not member.isfile():
                    continue
                folder, _, base = member.name.rpartition("/")
                stem, _, extension = base.partition(".")
                if f"{folder}/{stem}" != name:
                    if sample:
                        number += 1
                        yield _row(sample, name, columns, f"{path}:{number}")
                    sample, name = {}, f"{folder}/{stem}"
                content = tar.extractfile(member)
                sample[extension.lower()] = content.read() if content else b""
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        if sample and isinstance(error, _NoEnd):
            number += 1
            yield _row(sample, name, columns, f"{path}:{number}")
        yield Rejected("", f"{path}:{number + 1}", "invalid_tar", f"{error}; the rest of the file was not read")
        return
    if sample:
        yield _row(sample, name, columns, f"{path}:{number + 1}")


def _row(sample: dict[str, bytes], name: str, columns: dict[str, str], position: str) -> Outcome:
    values: dict[str, Any] = {}
    if "json" in sample:
        try:
            values = json.loads(sample["json"])
            if not isinstance(values, dict):
                raise ValueError(f"{name}.json must be a JSON object, not {type(values).__name__}")
        except (ValueError, RecursionError) as error:
            return Rejected("", position, "invalid_json", str(error))
    if "txt" in sample:
        try:
            values[columns.get("caption", "caption")] = sample["txt"].decode("utf-8-sig")
        except UnicodeDecodeError as error:
            return Rejected("", position, "invalid_utf8", f"{name}.txt: {error}")
    found = [sample[extension] for extension in _PICTURES if extension in sample]
    if found:
        values[columns.get("image_bytes", "image_bytes")] = found[0]
    return fields.to_row(values, columns, position, WebDatasetSource.name)
