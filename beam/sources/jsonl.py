"""JSON Lines: each line is a pair; its picture is base64, or a path relative to the file."""

from collections.abc import Iterator
from typing import Any, ClassVar

from beam.records import Rejected
from beam.sources.files import compressed, lines
from beam.sources.rows import json_object
from beam.sources.rows.raw import InvalidRow, RawRow
from beam.sources.rows.source import RowSource
from models.settings.checks import settings_class

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@settings_class("JsonlSource")
class JsonlSource(RowSource):
    """Reads JSON Lines; see `RowSource` for columns and paths.

    Each line is {"image": PATH, "caption": TEXT} or {"image_base64": ..., "caption": TEXT}. A line may have "captions",
    a list of texts, instead of "caption" or as well; "caption" is then the first.
    """

    name: ClassVar[str] = "jsonl"
    example: ClassVar[str] = "pairs/*.jsonl"
    spread: ClassVar[bool] = True

    def raw_rows(self, split: str) -> Iterator[RawRow | Rejected]:
        most = self.limits.line_bytes
        with compressed.opened(split, self.limits) as file:
            for number, line in enumerate(lines.bounded(file, most, (b"\n",)), start=1):
                if isinstance(line, lines.LongLine):
                    detail = f"the line has {line.size} bytes, but may have at most {most} (Limits.line_bytes)"
                    yield Rejected("", f"{split}:{number}", "line_too_large", detail)
                elif number == 1 and line.startswith(_UTF_16):
                    raise InvalidRow("invalid_utf8", "the file is UTF-16; convert it to UTF-8. No row of it is read")
                elif line.strip():
                    yield RawRow(split, number, line)

    def decode(self, content: bytes) -> dict[str, Any]:
        return json_object.parsed(content, self.limits, "the line")
