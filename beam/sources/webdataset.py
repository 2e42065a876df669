"""WebDataset: tar files in which members whose names agree up to the first dot form a sample."""

import json
import tarfile
from collections.abc import Iterator
from typing import Any, ClassVar

from beam.records import Rejected
from beam.sources import compressed
from beam.sources.columns import MAX_IMAGE_BYTES, InvalidRow, RawRow
from beam.sources.rows import RowSource
from models.settings.checks import settings_class

_BLOCK = 1 << 20
_PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")


@settings_class("WebDatasetSource")
class WebDatasetSource(RowSource):
    """Reads WebDataset tar files, in img2dataset's layout; see `RowSource` for columns and paths.

    A sample is a run of members with one key, such as 0001.jpg, 0001.txt and 0001.json. Its columns are the fields of
    the .json member, each other member under its extension (`txt`, `jpg`), and `image`, the picture. The tar is read as
    a stream, so it may be larger than memory.
    """

    name: ClassVar[str] = "webdataset"
    example: ClassVar[str] = "pairs/*.tar"
    damage: ClassVar[tuple[type[Exception], ...]] = (EOFError, tarfile.TarError)

    captions: tuple[str, ...] = ("txt", "caption", "captions")

    def raw_rows(self, split: str) -> Iterator[RawRow | Rejected]:
        key, sample = "", dict[str, bytes]()
        with compressed.opened(split) as file, tarfile.open(fileobj=file, mode="r|*") as tar:
            try:
                for member in tar:
                    if not member.isfile():
                        continue
                    tar.members = []  # type: ignore[attr-defined]  # else tarfile keeps all members in memory
                    member_key, extension = _key_and_extension(member.name)
                    if not extension:
                        yield Rejected("", f"{split}:{member.name}", "invalid_member", "the name has no extension")
                    elif member.size > MAX_IMAGE_BYTES:
                        detail = f"{member.size} bytes are more than {MAX_IMAGE_BYTES}"
                        yield Rejected("", f"{split}:{member.name}", "image_too_large", detail)
                    else:
                        if sample and (member_key != key or extension in sample):
                            yield RawRow(split, key, sample)
                            sample = {}
                        key = member_key
                        sample[extension] = tar.extractfile(member).read()  # type: ignore[union-attr]
                while file.read(_BLOCK):
                    pass  # the checksum of a compressed file follows the end of the tar
            finally:
                # If the tar breaks off, what was read of the last sample is used.
                if sample:
                    yield RawRow(split, key, sample)

    def decode(self, content: dict[str, bytes]) -> dict[str, Any]:
        fields: Any = {}
        if "json" in content:
            try:
                fields = json.loads(content["json"])
            except (ValueError, RecursionError) as error:
                raise InvalidRow("invalid_json", f".json: {error}") from error
            if not isinstance(fields, dict):
                raise InvalidRow("invalid_json", f".json must be a JSON object, not {type(fields).__name__}")
        if fields.get("status") == "failed_to_download":
            raise InvalidRow("image_missing", f"img2dataset: {fields.get('error_message')}")
        pictures = [content[extension] for extension in _PICTURES if extension in content]
        return {**fields, **content, **({"image": pictures[0]} if pictures else {})}


def _key_and_extension(name: str) -> tuple[str, str]:
    """Splits "a/b.c.seg.png" into ("a/b", "c.seg.png"), as the format defines."""
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return folder + slash + stem, extension.lower()
