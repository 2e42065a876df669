"""JSON Lines: one pair a line, the picture inline (base64) or as a path relative to the file."""

import base64
import binascii
import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any, ClassVar

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from beam.records import ImageText, Outcome, Rejected, content_key
from models import features

_TEXT_FIELDS = ("key", "language", "category", "class_name", "group")


@dataclasses.dataclass(frozen=True)
class JsonlSource:
    """Each line is {"image": PATH, "caption": TEXT} or {"image_base64": ..., "caption": TEXT}.

    A picture may have "captions", a list of texts, in place of or besides "caption", which then comes first.

    Optional text fields: "key" (else a hash of the content), "language", "category", "class_name", and "group", which
    rows of one picture share, such as its captions in several languages. A row that cannot be used is dropped by
    reason, with its file and line number; it never stops the run.

    Attributes:
      path: a file or a glob pattern, on any file system Beam knows.
    """

    name: ClassVar[str] = "jsonl"
    path: str = ""

    def fingerprint(self) -> str:
        files = [f"{file.path} {file.size_in_bytes} {file.last_updated_in_seconds}" for file in self._files()]
        return hashlib.sha256("\n".join(files).encode()).hexdigest()

    def read(self) -> beam.PTransform:
        return _Read([file.path for file in self._files()])

    def _files(self) -> list[Any]:
        files = FileSystems.match([self.path])[0].metadata_list if self.path else []
        if not files:
            raise ValueError(
                f"JsonlSource.path is {self.path!r}, but no such file exists; name a .jsonl file or a glob pattern "
                "(gin: JsonlSource.path = 'pairs/*.jsonl')"
            )
        return sorted(files, key=lambda file: file.path)


class _Read(beam.PTransform):
    def __init__(self, paths: list[str]) -> None:
        super().__init__()
        self._paths = paths

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        lines = pipeline | beam.Create(self._paths) | beam.Reshuffle() | "Lines" >> beam.FlatMap(_lines)
        # A second reshuffle, so that the pictures of one large file are read by all workers.
        return lines | "Spread" >> beam.Reshuffle() | "Parse" >> beam.Map(_parse)


def _lines(path: str) -> Iterator[tuple[str, int, bytes]]:
    with FileSystems.open(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield path, number, line


def _parse(numbered: tuple[str, int, bytes]) -> Outcome:
    path, number, line = numbered
    position = f"{path}:{number}"
    try:
        row = json.loads(line.decode("utf-8-sig"))
        if not isinstance(row, dict):
            raise ValueError(f"a line must be a JSON object, not {type(row).__name__}")
    except UnicodeDecodeError as error:
        return Rejected("", position, "invalid_utf8", str(error))
    except (ValueError, RecursionError) as error:
        return Rejected("", position, "invalid_json", str(error))

    texts = {field: row[field] for field in (*_TEXT_FIELDS, "caption") if row.get(field) is not None}
    listed = row.get("captions") or []
    if not isinstance(listed, list):
        return Rejected("", position, "invalid_field", f"captions is {listed!r}, but must be a list of texts")
    numbered_captions = {f"captions[{number}]": value for number, value in enumerate(listed)}
    for field, value in {**texts, **numbered_captions}.items():
        if not isinstance(value, str):
            reason = "caption_missing" if field == "caption" else "invalid_field"
            return Rejected("", position, reason, f"{field} is {value!r}, but must be text")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            return Rejected("", position, "invalid_utf8", f"{field}: {error}")
    key = texts.get("key", "")
    captions = [texts["caption"], *listed] if "caption" in texts else listed
    if not captions:
        return Rejected(key, position, "caption_missing", "the row has no caption")
    caption = captions[0]
    try:
        image = _image_bytes(row, path)
    except binascii.Error as error:
        return Rejected(key, position, "invalid_base64", f"image_base64: {error}")
    except Exception as error:  # whatever a file system raises, one row must not stop the run
        return Rejected(key, position, "image_missing", f"{type(error).__name__}: {error}")
    return ImageText(
        key=key or content_key(image, caption),
        image=image,
        caption=caption,
        position=position,
        source=JsonlSource.name,
        language=texts.get("language", features.UNKNOWN_LANGUAGE),
        category=texts.get("category", ""),
        class_name=texts.get("class_name", ""),
        more_captions=tuple(captions[1:]),
        group=texts.get("group", ""),
    )


def _image_bytes(row: dict[str, Any], path: str) -> bytes:
    inline, relative = row.get("image_base64"), row.get("image")
    if isinstance(inline, str):
        return base64.b64decode(inline, validate=True)
    if isinstance(relative, str) and relative:
        folder = FileSystems.split(path)[0]
        full = relative if "://" in relative or relative.startswith("/") else FileSystems.join(folder, relative)
        with FileSystems.open(full) as file:
            return file.read()
    raise ValueError('the row has neither "image" (a path) nor "image_base64"')
