"""WebDataset: tar files in which members whose names agree up to the first dot form a sample."""

import codecs
from collections.abc import Iterator
from typing import Any, ClassVar

from beam.records import Rejected, Skipped
from beam.sources.files import compressed
from beam.sources.limits import Limits
from beam.sources.rows import json_object
from beam.sources.rows.raw import InvalidRow, RawRow, shown
from beam.sources.rows.source import RowSource
from beam.sources.webdataset import tar
from models.settings.checks import require_one_of, settings_class

_PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")
_SHOWN_NAME = 200  # characters of a member's name in a position
_KEY_ENDS = ("first_dot", "last_dot")
_DOTS = (
    "if your keys contain dots, set WebDatasetSource.key_ends_at = 'last_dot', because now the key of a member ends at "
    "the first dot of its name"
)


@settings_class("WebDatasetSource")
class WebDatasetSource(RowSource):
    """Reads WebDataset tar files, in img2dataset's layout; see `RowSource` for columns and paths.

    A sample is a run of members with one key, such as 0001.jpg, 0001.txt and 0001.json. Its columns are the fields of
    the .json member, each other member under its extension (`txt`, `jpg`), and `image`, the picture. The tar is read as
    a stream, so it may be larger than memory. Members whose name begins with a dot, such as macOS's ._0001.jpg, are
    skipped.

    Attributes:
      key_ends_at: where the key in a member's name ends: "first_dot" is WebDataset's rule; "last_dot" reads keys that
        contain dots, such as v1.0001.jpg.
    """

    name: ClassVar[str] = "webdataset"
    example: ClassVar[str] = "pairs/*.tar"

    captions: tuple[str, ...] = ("txt", "caption", "captions")
    key_ends_at: str = "first_dot"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of(self, "key_ends_at", _KEY_ENDS)

    def raw_rows(self, split: str) -> Iterator[RawRow | Rejected | Skipped]:
        hidden, sample = 0, _Sample(split, None, self.limits)
        used = self.column_names() | {"json", *_PICTURES}
        try:
            with compressed.opened(split, self.limits) as file:
                archive = tar.Tar(file, self.limits)
                for member in archive:
                    base = member.name.rpartition("/")[2]
                    if base.startswith("."):
                        hidden += 1
                        continue
                    key, extension = self._key_and_extension(member.name)
                    if problem := self._problem(member, extension, used):
                        yield Rejected("", f"{split}:{member.name[:_SHOWN_NAME]}", *problem)
                        continue
                    if not sample.takes(key, extension):
                        yield from sample.outcome()
                        sample = _Sample(split, key, self.limits)
                    if sample.has_room(member.size if extension in used else 0):
                        sample.members[extension] = archive.read(member.size) if extension in used else b""
        except Exception:  # what was read of the last sample is used
            yield from self._rest(split, sample, hidden)
            raise
        yield from self._rest(split, sample, hidden)

    def decode(self, content: dict[str, bytes]) -> dict[str, Any]:
        fields = json_object.parsed(content["json"], self.limits, ".json") if "json" in content else {}
        if fields.get("status") == "failed_to_download":
            raise InvalidRow("image_missing", f"img2dataset: {shown(fields.get('error_message'))}")
        pictures = [content[extension] for extension in _PICTURES if extension in content]
        members = {name: value.removeprefix(codecs.BOM_UTF8) for name, value in content.items()}
        columns = {**fields, **members, **({"image": pictures[0]} if pictures else {})}
        if not any(columns.get(self.columns.get(field, field)) for field in ("image", "image_base64")):
            self._refuse_dots(content)
        return columns

    def _key_and_extension(self, name: str) -> tuple[str, str]:
        """Splits "a/b.c.seg.png" into ("a/b", "c.seg.png"), as the format defines, or into ("a/b.c.seg", "png")."""
        folder, slash, base = name.rpartition("/")
        if self.key_ends_at == "first_dot":
            stem, _, extension = base.partition(".")
        else:
            stem, dot, extension = base.rpartition(".")
            stem, extension = (stem, extension) if dot else (extension, "")
        return folder + slash + stem, extension.lower()

    def _problem(self, member: tar.Member, extension: str, used: set[str]) -> tuple[str, str] | None:
        """Returns the reason and the detail of a member that is no part of a sample."""
        if member.reason:
            return member.reason, member.detail
        if not extension:
            return "invalid_member", "the name has no extension"
        if extension in used and member.size > self.limits.member_bytes:
            limit = f"Limits.member_bytes is {self.limits.member_bytes}; raise it"
            return "member_too_large", f"the member has {member.size} bytes, but {limit}"
        return None

    def _refuse_dots(self, content: dict[str, bytes]) -> None:
        """Raises InvalidRow if a sample without picture has an extension such as "0001.jpg"."""
        dotted = [name for name in content if "." in name and name.rpartition(".")[2] in _PICTURES]
        if dotted and self.key_ends_at == "first_dot":
            raise InvalidRow(
                "image_missing", f"{len(content)} members have extensions such as {shown(dotted[0])}; {_DOTS}"
            )

    @staticmethod
    def _rest(split: str, sample: "_Sample", hidden: int) -> Iterator[RawRow | Rejected | Skipped]:
        yield from sample.outcome()
        if hidden:
            yield Skipped(split, "hidden_member", hidden)


class _Sample:
    """The members of a sample, as far as the limits allow.

    Attributes:
      members: {extension: content}; the content is empty if nothing reads it.
    """

    def __init__(self, file: str, key: str | None, limits: Limits) -> None:
        self.members: dict[str, bytes] = {}
        self._file, self._key, self._limits = file, key, limits
        self._count = self._bytes = 0
        self._reason = ""

    def takes(self, key: str, extension: str) -> bool:
        """Says whether a member with this name belongs to the sample."""
        return key == self._key and extension not in self.members

    def has_room(self, size: int) -> bool:
        """Counts a member; says whether the sample may hold its content. Beyond a limit, the sample drops it all."""
        self._count += 1
        self._bytes += size
        if not self._reason:
            if self._count > self._limits.members:
                self._reason = "too_many_members"
            elif self._bytes > self._limits.row_bytes:
                self._reason = "row_too_large"
        if self._reason:
            self.members = {}
        return not self._reason

    def outcome(self) -> Iterator[RawRow | Rejected]:
        """Yields the row of the sample, or its reject, or nothing if it is empty."""
        key = (self._key or "")[:_SHOWN_NAME]
        limits = f"Limits.members is {self._limits.members} and Limits.row_bytes is {self._limits.row_bytes}"
        if self._reason:
            sizes = f"{self._count} members have the key {key!r} and {self._bytes} bytes"
            yield Rejected("", f"{self._file}:{key}", self._reason, f"{sizes}, but {limits}; raise them; or {_DOTS}")
        elif self.members:
            yield RawRow(self._file, key, self.members)
