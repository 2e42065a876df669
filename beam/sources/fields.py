"""What every table-like source shares: named values -> a row, or the reason why not."""

import base64
import binascii
import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import IO, Any, ClassVar

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from beam.records import ImageText, Outcome, Rejected, content_key
from models import features

_TEXTS = ("key", "language", "category", "class_name", "group")


@dataclasses.dataclass(frozen=True)
class Files:
    """The files behind a source.

    Attributes:
      path: a file or a glob pattern, on any file system Beam knows.
      columns: {our name: the name it has in the files}, where they differ, such as {"caption": "TEXT"}.
    """

    name: ClassVar[str] = ""
    path: str = ""
    columns: dict[str, str] = dataclasses.field(default_factory=dict)

    def fingerprint(self) -> str:
        """Of path, size and time of each file."""
        files = [f"{file.path} {file.size_in_bytes} {file.last_updated_in_seconds}" for file in self._found()]
        return hashlib.sha256("\n".join(files).encode()).hexdigest()

    def paths(self) -> list[str]:
        """Sorted; raises ValueError where there is none."""
        return [file.path for file in self._found()]

    def _found(self) -> list[Any]:
        files = FileSystems.match([self.path])[0].metadata_list if self.path else []
        if not files:
            kind = type(self).__name__
            raise ValueError(
                f"{kind}.path is {self.path!r}, but no such file exists; name a file or a glob pattern "
                f"(gin: {kind}.path = 'pairs/*.{self.name}')"
            )
        return sorted(files, key=lambda file: file.path)


@contextlib.contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """A file as it lies, whatever its name ends in, on any file system Beam knows."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        yield file


def to_row(values: Mapping[str, Any], columns: Mapping[str, str], position: str, source: str) -> Outcome:
    """Makes a row of named values.

    Args:
      values: "caption" or "captions" (a list), or both; the picture as "image_bytes", "image_base64" or "image" (a path
        relative to the file, an absolute one, or an address such as gs://bucket/object); optional texts "key",
        "language", "category", "class_name" and "group".
      columns: {our name: name in `values`}, where they differ.
      position: "file:row".
      source: name of the source.
    """

    def value(name: str) -> Any:
        return values.get(columns.get(name, name))

    texts = {field: value(field) for field in (*_TEXTS, "caption") if value(field) is not None}
    listed = value("captions")
    listed = [] if listed is None else listed
    if not isinstance(listed, list):
        return Rejected("", position, "invalid_field", f"captions is {listed!r}, but must be a list of texts")
    numbered = {f"captions[{number}]": text for number, text in enumerate(listed)}
    for field, text in {**texts, **numbered}.items():
        if not isinstance(text, str):
            reason = "caption_missing" if field == "caption" else "invalid_field"
            return Rejected("", position, reason, f"{field} is {text!r}, but must be text")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return Rejected("", position, "invalid_utf8", f"{field}: {error}")
    key = texts.get("key", "")
    captions = [texts["caption"], *listed] if "caption" in texts else listed
    if not captions:
        return Rejected(key, position, "caption_missing", "the row has no caption")
    try:
        image = _picture(value("image_bytes"), value("image_base64"), value("image"), position)
    except binascii.Error as error:
        return Rejected(key, position, "invalid_base64", f"image_base64: {error}")
    except Exception as error:  # whatever a file system raises, one row must not stop the run
        return Rejected(key, position, "image_missing", f"{type(error).__name__}: {error}")
    return ImageText(
        key=key or content_key(image, captions[0]),
        image=image,
        caption=captions[0],
        position=position,
        source=source,
        language=texts.get("language", features.UNKNOWN_LANGUAGE),
        category=texts.get("category", ""),
        class_name=texts.get("class_name", ""),
        more_captions=tuple(captions[1:]),
        group=texts.get("group", ""),
    )


def _picture(content: Any, inline: Any, path: Any, position: str) -> bytes:
    if isinstance(content, bytes):
        return content
    if isinstance(inline, str) and inline:
        return base64.b64decode(inline, validate=True)
    if isinstance(path, str) and path:
        folder = FileSystems.split(position.rsplit(":", 1)[0])[0]
        full = path if "://" in path or path.startswith("/") else FileSystems.join(folder, path)
        with opened(full) as file:
            return file.read()
    raise ValueError('the row has neither "image" (a path), "image_bytes" nor "image_base64"')
