"""JSON Lines: each line is a pair; its picture is base64, or a path relative to the file."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from beam.sources import compressed
from beam.sources.raw import InvalidRow, RawRow
from beam.sources.rows import RowSource
from models.settings.checks import settings_class


@settings_class("JsonlSource")
class JsonlSource(RowSource):
    """Reads JSON Lines; see `RowSource` for columns and paths.

    Each line is {"image": PATH, "caption": TEXT} or {"image_base64": ..., "caption": TEXT}. A line may have "captions",
    a list of texts, instead of "caption" or as well; "caption" is then the first.
    """

    name: ClassVar[str] = "jsonl"
    example: ClassVar[str] = "pairs/*.jsonl"
    spread: ClassVar[bool] = True

    def raw_rows(self, split: str) -> Iterator[RawRow]:
        with compressed.opened(split, self.limits) as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield RawRow(split, number, line)

    def decode(self, content: bytes) -> dict[str, Any]:
        try:
            row = json.loads(content.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise InvalidRow("invalid_utf8", str(error)) from error
        except (ValueError, RecursionError) as error:
            raise InvalidRow("invalid_json", str(error)) from error
        if not isinstance(row, dict):
            raise InvalidRow("invalid_json", f"a line must be a JSON object, not {type(row).__name__}")
        return row
