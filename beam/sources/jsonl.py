"""JSON Lines: each line is a pair; its picture is base64, or a path relative to the file."""

import json
import re
from collections.abc import Iterator
from typing import Any, ClassVar

from beam.records import Rejected
from beam.sources import compressed, lines
from beam.sources.raw import InvalidRow, RawRow
from beam.sources.rows import RowSource
from models.settings.checks import settings_class

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
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
        self._require_few_values(content)
        try:
            row = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_without_repeats)
        except UnicodeDecodeError as error:
            raise InvalidRow("invalid_utf8", str(error)) from error
        except (ValueError, RecursionError) as error:
            raise InvalidRow("invalid_json", f"{error}; a line must hold one JSON object") from error
        if not isinstance(row, dict):
            raise InvalidRow("invalid_json", f"a line must be a JSON object, not {type(row).__name__}")
        return row

    def _require_few_values(self, content: bytes) -> None:
        """Raises InvalidRow if the line may hold more values than allowed: each takes some 100 bytes of memory."""
        most = self.limits.values
        if len(content) <= most:
            return
        if sum(map(content.count, (b",", b"[", b"{"))) > most:
            bare = _STRING.sub(b"", content)
            values = sum(map(bare.count, (b",", b"[", b"{")))
            if values > most:
                raise InvalidRow(
                    "too_many_values", f"the line has {values} values, but may have {most} (Limits.values)"
                )


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        repeated = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {repeated[:150]!r} occurs twice in an object")
    return found
