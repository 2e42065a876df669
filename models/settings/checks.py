"""Checks of settings: each names the received value, the rule and the fix."""

import dataclasses
import types
import typing
from typing import Any


def require(condition: bool, name: str, value: Any, rule: str, fix: str) -> None:
    """Raises ValueError("<name> is <value>, but must be <rule>; <fix>") unless `condition` holds."""
    if not condition:
        raise ValueError(f"{name} is {value!r}, but must be {rule}; {fix}")


def require_types(settings: Any) -> None:
    """Holds every field of a settings dataclass against its annotation; whole numbers become floats where asked.

    Raises:
      ValueError: a value has another type; gin itself checks none.
    """
    hints = typing.get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value, hint = getattr(settings, field.name), hints[field.name]
        if hint is float and isinstance(value, int) and not isinstance(value, bool):
            object.__setattr__(settings, field.name, float(value))
        elif not _fits(value, hint):
            kind = getattr(hint, "__name__", str(hint)) if typing.get_origin(hint) is None else str(hint)
            require(False, label(settings, field.name), value, f"of type {kind}", "correct its value in gin")


def require_positive(settings: Any, *names: str) -> None:
    """Raises ValueError unless each named field is above zero."""
    for name in names:
        value = getattr(settings, name)
        require(
            value > 0, label(settings, name), value, "a number above 0", f"set {label(settings, name)} to 1 or more"
        )


def require_fraction(settings: Any, *names: str) -> None:
    """Raises ValueError unless each named field lies in [0, 1]."""
    for name in names:
        value = getattr(settings, name)
        require(
            0 <= value <= 1, label(settings, name), value, "in [0, 1]", f"set {label(settings, name)} to a fraction"
        )


def label(settings: Any, name: str) -> str:
    """A field as gin calls it, such as "Training.steps"."""
    return f"{type(settings).__name__.removesuffix('Settings')}.{name}"


def _fits(value: Any, hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, arguments[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            _fits(key, arguments[0]) and _fits(item, arguments[1]) for key, item in value.items()
        )
    if origin is types.UnionType:
        return any(_fits(value, argument) for argument in arguments)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return getattr(hint, "_is_protocol", False) or isinstance(value, hint)
