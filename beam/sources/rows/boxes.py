"""The box of a row: the part of its picture that its caption names."""

import json
import numbers
from typing import Any

from beam.sources.rows import texts
from beam.sources.rows.raw import InvalidRow, shown


def parse(value: Any, column: str) -> tuple[float, ...]:
    """Returns top, left, bottom and right, or () if the value is missing; `BoxCheck` checks that they are in [0, 1].

    Args:
      value: four numbers in a list, or their JSON text.
      column: its name, for messages.

    Raises:
      InvalidRow: the value is anything else.
    """
    if texts.is_missing(value) or (isinstance(value, str | bytes) and not value.strip()):
        return ()
    listed = value
    if isinstance(value, str | bytes):
        try:
            listed = json.loads(value)
        except ValueError:
            listed = None
    elif hasattr(value, "tolist"):
        listed = value.tolist()
    good = isinstance(listed, list | tuple) and len(listed) == 4
    if not good or any(isinstance(one, bool) or not isinstance(one, numbers.Real) for one in listed):
        detail = f"{column} is {shown(value)}, but must be four numbers: top, left, bottom, right"
        raise InvalidRow("invalid_boxes", detail)
    return tuple(float(one) for one in listed)
