"""Names of classes for rows whose class is a number."""

import functools
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from apache_beam.io.filesystems import FileSystems

from beam.sources.rows.raw import InvalidRow
from beam.sources.rows.texts import whole_number

_RULE = 'but must be a list of names, or a JSON file of a list or of an object such as {"0": "cat", "7": ["dog"]}'
_NUMBER = re.compile(r"-?\d{1,19}(\.0+)?")  # pandas writes columns with gaps as 7.0


Names = str | tuple[str, ...]
"""The right class of a number, or several, or none."""


class ClassNames(NamedTuple):
    """The setting `class_names` of a source.

    Attributes:
      setting: its name in gin, for messages.
      names: the names, the first of class 0; or the path of a JSON file: a list of them, or an object {number: name}.
        Numbers may share a name. In the object, a list of names gives a number several right classes; [] gives none.
    """

    setting: str
    names: str | tuple[str, ...]

    def names_of(self, value: Any, text: str) -> tuple[str, ...]:
        """Returns the right classes of a class number; another value gives `text`.

        Args:
          value: value of the class column; a number may be text, as in CSV.
          text: the value as text.

        Raises:
          InvalidRow: the number has no name.
        """
        if not self.names:
            return (text,)
        is_number = whole_number(value) is not None or _NUMBER.fullmatch(text)
        if not is_number:
            return (text,)
        known, number = load(self), int(text.partition(".")[0])
        if number not in known:
            detail = (
                f"the class is {text}, but {self.setting} has {len(known)} names, for the classes {min(known)} to "
                f"{max(known)}; correct the row or add the name"
            )
            raise InvalidRow("unknown_class", detail)
        return each(known[number])


def each(names: Names) -> tuple[str, ...]:
    """Returns the right classes of a class number."""
    return (names,) if isinstance(names, str) else names


@functools.lru_cache(maxsize=8)
def load(classes: ClassNames) -> Mapping[int, Names]:
    """Returns {class number: its name or names}.

    Raises:
      ValueError: the file cannot be read, or holds no names.
    """
    names: Any = classes.names
    if isinstance(names, str):
        try:
            with FileSystems.open(names) as file:
                names = json.load(file)
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(f"{classes.setting} is {names!r}, {_RULE} ({error}); correct it") from error
    try:
        if isinstance(names, dict):
            known = {int(number): tuple(one) if isinstance(one, list) else one for number, one in names.items()}
        else:
            known = dict(enumerate(names))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{classes.setting} is {classes.names!r}, {_RULE} ({error}); correct it") from error
    listed = [name for names in known.values() for name in (names if isinstance(names, tuple) else (names,))]
    if not listed or not all(isinstance(name, str) and name for name in listed):
        raise ValueError(f"{classes.setting} is {classes.names!r}, {_RULE}; correct it")
    return known
