"""Makes an image-text pair from the columns of a row, and reads its picture."""

from collections.abc import Mapping
from typing import Any

from beam.records import ImageText, Outcome, Rejected, Skipped, content_key, is_utf8
from beam.sources.limits import Limits
from beam.sources.rows import boxes, inline_images, picture_files, texts
from beam.sources.rows.classes import ClassNames
from beam.sources.rows.raw import InvalidRow, RawRow, shown
from beam.sources.rows.texts import listed

_TEXT_FIELDS = ("key", "language", "category", "class_name", "group")
_CLASS_NAMES = "class_names"
_BOXES = "boxes"  # read only if `RowSource.columns` names it: many data sets have boxes of another meaning
FIELDS = ("image", "image_base64", *_TEXT_FIELDS, _CLASS_NAMES, _BOXES)
_LIMITS, _NO_CLASSES = Limits(), ClassNames("", ())


def to_pair(
    row: RawRow | Rejected | Skipped,
    renamed: Mapping[str, str],
    captions: tuple[str, ...],
    language: str,
    source: str,
    limits: Limits = _LIMITS,
    classes: ClassNames = _NO_CLASSES,
) -> Outcome | Skipped:
    """Makes the pair of a decoded row, and reads its picture.

    Args:
      row: a row whose content is {column: value}; anything else is returned as it is.
      renamed: `RowSource.columns`.
      captions: `RowSource.captions`.
      language: `RowSource.language`.
      source: name of the source.
      limits: `RowSource.limits`.
      classes: `RowSource.class_names`.
    """
    if not isinstance(row, RawRow):
        return row
    columns, key = row.content, ""
    try:
        values = {field: texts.field(columns, renamed.get(field, field), limits) for field in _TEXT_FIELDS}
        key = values["key"]
        right = _right_classes(columns, renamed, values["class_name"], classes, limits)
        first, *others = texts.captions(columns, captions, limits)
        box = boxes.parse(columns.get(renamed[_BOXES]), renamed[_BOXES]) if _BOXES in renamed else ()
        image = _image(columns, renamed, row.file, limits)
    except InvalidRow as error:
        return Rejected(key, row.position, error.reason, error.detail)
    return ImageText(
        key=key or content_key(image, _first_good(first, others)),
        image=image,
        caption=first,
        position=row.position,
        source=source,
        language=values["language"] or language,
        group=values["group"],
        category=values["category"],
        class_name=right[0] if right else "",
        class_names=right if len(right) > 1 or renamed.get(_CLASS_NAMES, _CLASS_NAMES) in columns else (),
        more_captions=tuple(others),
        boxes=box,
    )


def _right_classes(
    columns: Mapping[str, Any], renamed: Mapping[str, str], class_name: str, classes: ClassNames, limits: Limits
) -> tuple[str, ...]:
    """The classes of the list `class_names`, or else those of `class_name`."""
    column, one_column = (renamed.get(field, field) for field in (_CLASS_NAMES, "class_name"))
    names: dict[str, None] = {}
    for number, value in enumerate(texts.values(columns.get(column), column)):
        place = f"{column}[{number}]"
        text = texts.field({place: value}, place, limits)
        if not text:
            raise InvalidRow("invalid_field", f"{place} is {shown(value)}, but must be a class; remove it")
        names |= dict.fromkeys(classes.names_of(value, text))
    alone = classes.names_of(columns.get(one_column), class_name) if class_name else ()
    if names and not {*alone} <= {*names}:
        detail = f"{one_column} is {shown(alone[0])}, but must be one of {column}: {', '.join(names)}; correct either"
        raise InvalidRow("invalid_field", detail)
    return (*alone, *(name for name in names if name not in alone))


def _first_good(first: str, others: list[str]) -> str:
    """The first caption that CaptionCheck may keep, so that bad captions before it do not change the key."""
    return next((one for one in (first, *others) if one.strip() and is_utf8(one)), first)


def _image(columns: Mapping[str, Any], renamed: Mapping[str, str], file: str, limits: Limits) -> bytes:
    inline_column, column = (renamed.get(field, field) for field in ("image_base64", "image"))
    inline, value = columns.get(inline_column), columns.get(column)
    if isinstance(inline, str | bytes):
        return inline_images.decode(inline, inline_column)
    if not texts.is_missing(inline):
        raise InvalidRow("invalid_base64", f"{inline_column} is {shown(inline)}, but must be a picture in base64")
    if isinstance(value, dict):  # Hugging Face's form of a picture in Parquet
        value = value.get("bytes") if value.get("bytes") is not None else value.get("path")
    if isinstance(value, str | bytes) and inline_images.is_inline(value):
        return inline_images.decode(value, column)
    if isinstance(value, bytes):
        return value
    if isinstance(value, str) and value:
        return picture_files.read(value, file, limits)
    if value not in (None, "", {}):
        detail = f"{column} is {shown(value)}, but must be a picture (bytes or base64) or its path"
        raise InvalidRow("image_missing", detail)
    detail = f"the row has neither {column!r} (a picture or its path) nor {inline_column!r}; it has {listed(columns)}"
    raise InvalidRow("image_missing", detail)
