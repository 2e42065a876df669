"""The texts of a row: its fields, its class and its captions."""

import decimal
import json
import numbers
from collections.abc import Mapping
from typing import Any

from beam.records import is_utf8
from beam.sources.limits import Limits
from beam.sources.rows.raw import InvalidRow, shown

_EXACT = 1 << 53  # a float holds every whole number below this one


def field(columns: Mapping[str, Any], column: str, limits: Limits) -> str:
    """Returns the text of a column, or "" if it is missing; a whole number gives its decimal text.

    Raises:
      InvalidRow: the value is no text and no whole number, or is larger than `limits.field_bytes`.
    """
    value = columns.get(column)
    if is_missing(value):
        return ""
    number = whole_number(value)
    if number is None and not isinstance(value, str | bytes):
        raise InvalidRow("invalid_field", f"{column} is {shown(value)}, but must be text or a whole number")
    text = str(number) if number is not None else decoded(value, column)
    require_text(text, column)
    if len(text) > limits.field_bytes or len(text.encode()) > limits.field_bytes:
        detail = f"{column} is {shown(text)}, but may have at most {limits.field_bytes} bytes (Limits.field_bytes)"
        raise InvalidRow("field_too_large", detail)
    return text


def values(value: Any, column: str) -> list[Any]:
    """Returns the values of a list column: a list, its JSON text as in CSV, or one value in place of a list of one.

    Raises:
      InvalidRow: the text begins as a list, but is none.
    """
    if is_missing(value) or (isinstance(value, str | bytes) and not value.strip()):
        return []
    if isinstance(value, str | bytes) and value.lstrip()[:1] in ("[", b"["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InvalidRow("invalid_field", f"{column} is {shown(value)}, but must be a JSON list") from error
    elif hasattr(value, "tolist"):
        value = value.tolist()
    return list(value) if isinstance(value, list | tuple) else [value]


def whole_number(value: Any) -> int | None:
    """Returns the number if the value is a whole one, also as 7.0, which pandas makes of columns with gaps."""
    if isinstance(value, bool):
        return None
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, decimal.Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    return None


def is_missing(value: Any) -> bool:
    """Whether the value stands for no value: None, or the NaN that pandas writes."""
    return value is None or (isinstance(value, float | decimal.Decimal) and value != value)


def captions(columns: Mapping[str, Any], names: tuple[str, ...], limits: Limits) -> list[str]:
    """Returns all captions of a row in the order of their columns, without repeats.

    A bad caption among good ones stays, so that CaptionCheck removes and counts it: a null is "", and bytes that are
    not UTF-8 are lone surrogates.

    Raises:
      InvalidRow: the row has no caption, too many, or only captions that are not UTF-8; or a caption is no text.
    """
    found: dict[str, None] = {}
    nulls = False
    for name in names:
        value = columns.get(name)
        if is_missing(value):
            continue
        if isinstance(value, str | bytes):
            found[decoded(value, name)] = None
        elif isinstance(value, list | tuple):
            if len(value) > limits.captions:
                detail = f"{name} has {len(value)} captions, but may have {limits.captions} (Limits.captions)"
                raise InvalidRow("too_many_captions", detail)
            for number, one in enumerate(value):
                nulls = nulls or is_missing(one)
                if not is_missing(one):
                    found[decoded(one, f"{name}[{number}]")] = None
        else:
            reason = "invalid_field" if name.endswith("s") else "caption_missing"
            raise InvalidRow(reason, f"{name} is {shown(value)}, but must be a text or a list of texts")
    if not found:
        detail = f"the row has no caption in {', '.join(names)}; it has {listed(columns)}"
        raise InvalidRow("caption_missing", detail)
    if not any(map(is_utf8, found)):
        require_text(next(iter(found)), names[0])
    return [*found, *([""] if nulls else [])]


def decoded(value: Any, column: str) -> str:
    """Returns text as it is, and decodes bytes; those that are not UTF-8 become lone surrogates.

    Raises:
      InvalidRow: the value is neither text nor bytes.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode(errors="surrogateescape")
    raise InvalidRow("invalid_field", f"{column} is {shown(value)}, but must be text")


def require_text(text: str, column: str) -> None:
    """Raises InvalidRow if a text holds lone surrogates, which UTF-8 does not have."""
    if not is_utf8(text):
        detail = f"{column} is {text[:150]!a}, but must be UTF-8; the bytes or halves of a character are invalid"
        raise InvalidRow("invalid_utf8", detail)


def listed(columns: Mapping[str, Any]) -> str:
    """Returns the names of columns for a message: those with a value, then the empty ones."""
    some = list(columns.items())[:100]
    empty = [shown(name) for name, value in some if value in (None, "", b"")]
    full = [shown(name) for name, value in some if value not in (None, "", b"")]
    return (", ".join(full) or "nothing") + (f" (and without a value: {', '.join(empty)})" if empty else "")
