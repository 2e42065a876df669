"""Makes an image-text pair from the columns of a row, and reads its picture."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from beam.records import ImageText, Outcome, Rejected, Skipped, content_key
from beam.sources import picture_files
from beam.sources.limits import Limits
from beam.sources.raw import InvalidRow, RawRow

_TEXT_FIELDS = ("key", "language", "category", "class_name", "group")
FIELDS = ("image", "image_base64", *_TEXT_FIELDS)


def to_pair(
    row: RawRow | Rejected | Skipped,
    renamed: dict[str, str],
    captions: tuple[str, ...],
    language: str,
    source: str,
    limits: Limits = Limits(),
) -> Outcome | Skipped:
    """Makes the pair of a decoded row, and reads its picture.

    Args:
      row: a row whose content is {column: value}; anything else is returned as it is.
      renamed: `RowSource.columns`.
      captions: `RowSource.captions`.
      language: `RowSource.language`.
      source: name of the source.
      limits: `RowSource.limits`.
    """
    if not isinstance(row, RawRow):
        return row
    columns, key = row.content, ""
    try:
        texts = {field: _text(columns, renamed.get(field, field)) for field in _TEXT_FIELDS}
        key = texts["key"]
        first, *others = _captions(columns, captions)
        image = _image(columns, renamed, row.file, limits)
    except InvalidRow as error:
        return Rejected(key, row.position, error.reason, error.detail)
    return ImageText(
        key=key or content_key(image, first),
        image=image,
        caption=first,
        position=row.position,
        source=source,
        language=texts["language"] or language,
        group=texts["group"],
        category=texts["category"],
        class_name=texts["class_name"],
        more_captions=tuple(others),
    )


def _text(columns: Mapping[str, Any], column: str) -> str:
    value = columns.get(column)
    return "" if value is None else _checked(value, column, "invalid_field")


def _checked(value: Any, column: str, reason: str) -> str:
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise InvalidRow("invalid_utf8", f"{column}: {error}") from error
    if not isinstance(value, str):
        raise InvalidRow(reason, f"{column} is {value!r}, but must be text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidRow("invalid_utf8", f"{column}: {error}") from error
    return value


def _captions(columns: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """Returns all captions of a row in the order of their columns, without repeats."""
    found: dict[str, None] = {}
    for name in names:
        value = columns.get(name)
        if value is None or value == []:
            continue
        if isinstance(value, str | bytes):
            found[_checked(value, name, "caption_missing")] = None
        elif isinstance(value, list):
            checked = (_checked(one, f"{name}[{number}]", "invalid_field") for number, one in enumerate(value))
            found.update(dict.fromkeys(checked))
        else:
            reason = "invalid_field" if name.endswith("s") else "caption_missing"
            raise InvalidRow(reason, f"{name} is {value!r}, but must be a text or a list of texts")
    if not found:
        raise InvalidRow("caption_missing", f"the row has no caption in {', '.join(names)}; it has {_named(columns)}")
    return list(found)


def _image(columns: Mapping[str, Any], renamed: Mapping[str, str], file: str, limits: Limits) -> bytes:
    inline_column, column = (renamed.get(field, field) for field in ("image_base64", "image"))
    inline, value = columns.get(inline_column), columns.get(column)
    if isinstance(inline, str | bytes):
        try:
            return base64.b64decode(inline, validate=True)
        except (binascii.Error, ValueError) as error:  # ValueError: not ASCII
            raise InvalidRow("invalid_base64", f"{inline_column}: {error}") from error
    if isinstance(value, dict):  # Hugging Face's form of a picture in Parquet
        value = value["bytes"] if value.get("bytes") is not None else value.get("path")
    if isinstance(value, bytes):
        return value
    if isinstance(value, str) and value:
        return picture_files.read(value, file, limits)
    detail = f"the row has neither {column!r} (a picture or its path) nor {inline_column!r}; it has {_named(columns)}"
    raise InvalidRow("image_missing", detail)


def _named(columns: Mapping[str, Any]) -> str:
    return ", ".join(str(name) for name, value in list(columns.items())[:20] if value is not None) or "nothing"
