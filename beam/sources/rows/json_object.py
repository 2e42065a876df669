"""Parses the JSON object of a row, in bounded memory."""

import json
import re
from typing import Any

from beam.sources.limits import Limits
from beam.sources.rows.raw import InvalidRow

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')


def parsed(content: bytes, limits: Limits, what: str) -> dict[str, Any]:
    """Returns the object.

    Args:
      content: JSON in UTF-8.
      limits: `RowSource.limits`.
      what: name of the content for messages, such as "the line".

    Raises:
      InvalidRow: the content is no JSON object, repeats a name, or has more than `limits.values` values.
    """
    _require_few_values(content, limits.values, what)
    try:
        found = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_without_repeats)
    except UnicodeDecodeError as error:
        raise InvalidRow("invalid_utf8", f"{what}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidRow("invalid_json", f"{what}: {error}; write one JSON object") from error
    if not isinstance(found, dict):
        raise InvalidRow("invalid_json", f"{what} must be a JSON object, not {type(found).__name__}")
    return found


def _require_few_values(content: bytes, most: int, what: str) -> None:
    """Raises InvalidRow if there may be more values than allowed: each takes some 100 bytes of memory."""
    if len(content) <= most or _values(content) <= most:
        return
    values = _values(_STRING.sub(b"", content))
    if values > most:
        raise InvalidRow("too_many_values", f"{what} has {values} values, but may have {most} (Limits.values)")


def _values(content: bytes) -> int:
    return sum(map(content.count, (b",", b"[", b"{")))


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        repeated = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {repeated[:150]!r} occurs twice in an object")
    return found
