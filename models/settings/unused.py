"""Finds bindings that no settings use. `configuration.load` refuses them, and names a gin line that would use them."""

import dataclasses
import types
import typing
from collections.abc import Iterable
from typing import Any

from typing_extensions import get_protocol_members

from gin import config as gin_config
from models.settings.checks import DECLARED, MAY_BE_UNUSED

Binding = tuple[str, str, str]
"""(scope, selector, parameter), the parts of gin's key of a binding."""


def bound() -> dict[Binding, Any]:
    """All current bindings, with their values."""
    return {
        (scope, selector, parameter): value
        for (scope, selector), parameters in gin_config._CONFIG.items()
        for parameter, value in parameters.items()
    }


def bound_now(cls: type) -> set[str]:
    """Names of the fields of a class that are bound in gin's current scope."""
    scopes = gin_config.current_scope()
    prefixes = ["/".join(scopes[:end]) for end in range(len(scopes) + 1)]
    return {name for scope in prefixes for name in gin_config._CONFIG.get((scope, selector(cls)), {})}


def referenced() -> set[tuple[str, str]]:
    """(scope, selector) of each class that a binding refers to with @, alone or in a tuple, or that is a default."""
    bindings = bound()
    single = (one for value in bindings.values() for one in (value if isinstance(value, tuple) else (value,)))
    explicit = {one.config_key for one in single if isinstance(one, gin_config.ConfigurableReference)}
    fields = {(name, parameter) for _, name, parameter in bindings}
    return explicit | {
        ("", selector(type(field.default)))
        for owner in DECLARED
        for field in dataclasses.fields(owner)
        if type(field.default) in DECLARED and (selector(owner), field.name) not in fields
    }


def selector(cls: type) -> str:
    """The full name of a settings class in gin, with its module."""
    return f"{cls.__module__}.{DECLARED[cls]}"


def refuse(made: Iterable[Any], of_files: dict[Binding, Any], replaced: set[tuple[str, str]]) -> None:
    """Raises ValueError if no instance in `made` has used a binding.

    Args:
      made: instances that gin has made from all bindings.
      of_files: bindings of the gin files, without those of the command line. Some of them may be unused: those of
        classes in MAY_BE_UNUSED, and those of `replaced`.
      replaced: (scope, selector) of classes that a later file or binding has replaced.
    """
    optional = {selector(cls) for cls in MAY_BE_UNUSED}
    for binding, value in bound().items():
        scope, name, parameter = binding
        in_file = binding in of_files and of_files[binding] is value
        if (in_file and (name in optional or (scope, name) in replaced)) or _is_used(binding):
            continue
        short = f"{scope}/" if scope else ""
        shown = short.rstrip("/") if name == "gin.macro" else f"{short}{name.split('.')[-1]}.{parameter}"
        roots = ", ".join(sorted(DECLARED[type(one)] for one in made))
        raise ValueError(
            f"{shown} is set, but nothing uses it (read: {roots} and what they refer to); "
            f"remove it, or {_switch_on(scope, name, _reachable({type(one) for one in made}))}"
        )


def _is_used(binding: Binding) -> bool:
    scope, name, parameter = binding
    return any(
        parameter in read
        for (where, what), read in gin_config._OPERATIVE_CONFIG.items()
        if what == name and f"{where}/".startswith(f"{scope}/" if scope else "")
    )


def _switch_on(scope: str, unused: str, owners: Iterable[type]) -> str:
    """The gin lines that would make one of `owners` use the class with the selector `unused`."""
    prefix = f"@{scope}/" if scope else "@"
    lines = []
    for cls in (one for one in DECLARED if selector(one) == unused):
        reference = f"{prefix}{DECLARED[cls]}()"
        for owner in owners:
            for field, hint in _fields(owner):
                value = f"({reference},)" if typing.get_origin(hint) is tuple else reference
                if any(_accepts(one, cls) for one in _members(hint)):
                    lines.append(f"{DECLARED[owner]}.{field} = {value}")
    return f"add {' or '.join(sorted(lines))}" if lines else "refer to its owner with @"


def _reachable(roots: set[type]) -> set[type]:
    """`roots`, and all declared classes that their fields, and the fields of those, can hold."""
    found, waiting = set(roots), list(roots)
    while waiting:
        hints = [one for _, hint in _fields(waiting.pop()) for one in _members(hint)]
        new = {cls for cls in DECLARED if cls not in found and any(_accepts(hint, cls) for hint in hints)}
        found |= new
        waiting += new
    return found


def _fields(cls: type) -> list[tuple[str, Any]]:
    hints = typing.get_type_hints(cls)
    return [(field.name, hints[field.name]) for field in dataclasses.fields(cls)]


def _members(hint: Any) -> tuple[Any, ...]:
    """The types of the values that a field with this hint can hold, alone or in a tuple."""
    return typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union, tuple) else (hint,)


def _accepts(hint: Any, cls: type) -> bool:
    if typing.get_origin(hint) or not isinstance(hint, type) or hint is type(None):
        return False
    if getattr(hint, "_is_protocol", False):
        return all(hasattr(cls, member) for member in get_protocol_members(hint))
    return issubclass(cls, hint)
