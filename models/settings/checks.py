"""Declares settings classes: frozen dataclasses that check the types and rules of their fields when they are made.

`@settings_class("Name")` is the only way to declare a class that gin can fill. This module does not import gin, so the
data plane can use it too. `models.settings.configuration` reads the declarations.
"""

import contextlib
import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import pydantic
import pydantic_core
from typing_extensions import dataclass_transform

Class = TypeVar("Class", bound=type)

DECLARED: dict[type, str] = {}
"""{settings class: its name in gin}. Base classes that gin cannot fill are not in it."""

RENAMED: dict[str, str] = {}
"""{former name in gin: current name}, such as {"Pipeline.ingest": "Pipeline.image_text_gen"}."""

MAY_BE_UNUSED: set[type] = set()
"""Classes that a gin file may bind even if the run does not use them."""


@dataclass_transform(frozen_default=True)
def settings_class(
    name: str = "", formerly: Mapping[str, str] | None = None, may_be_unused: bool = False
) -> Callable[[Class], Class]:
    """Makes a class a frozen dataclass whose instances hold only values of the annotated types.

    An instance checks the types first, and then runs the rules in the class's own `__post_init__`. It turns a whole
    number into a float if the annotation is float.

    Args:
      name: the class's name in gin, as in `name.field = value`; "" for a base class that gin cannot fill.
      formerly: {former name in gin: current name}; configuration accepts a former name for one release. Where the
        values changed too, {"former name = value": "current name = value"}.
      may_be_unused: whether a gin file may bind the class in a run that does not use it. For example, gin/model/*.gin
        binds ImageTower, but an objective may have no image tower.
    """

    def declare(cls: Class) -> Class:
        own_rules = getattr(cls, "__post_init__", None)

        def check(self: Any) -> None:
            if type(self) is cls:  # otherwise each base class would check them again
                _require_types(self)
            if own_rules:
                own_rules(self)

        cls.__post_init__ = check  # type: ignore[attr-defined]
        made: Any = dataclasses.dataclass(frozen=True)(cls)
        made.__get_pydantic_core_schema__ = classmethod(lambda c, *_: pydantic_core.core_schema.is_instance_schema(c))
        if name:
            DECLARED[made] = name
        if may_be_unused:
            MAY_BE_UNUSED.add(made)
        RENAMED.update(formerly or {})
        return made

    return declare


def require(condition: bool, name: str, value: Any, rule: str, fix: str) -> None:
    """Raises ValueError("<name> is <value>, but must be <rule>; <fix>") if `condition` is false."""
    if not condition:
        raise ValueError(f"{name} is {value!r}, but must be {rule}; {fix}")


def default(settings: Any, name: str) -> Any:
    """The value that a field has where nobody sets it."""
    return settings.__dataclass_fields__[name].default


def require_positive(settings: Any, *names: str) -> None:
    """Raises ValueError unless each named field is above zero."""
    for name in names:
        field, value = label(settings, name), getattr(settings, name)
        usual = default(settings, name)
        fix = f"a number above 0, such as {usual}" if isinstance(usual, float) else "1 or more"
        require(value > 0, field, value, "a number above 0", f"set {field} to {fix}")


def require_at_least_zero(settings: Any, *names: str, fix: str = "0 switches it off") -> None:
    """Raises ValueError unless each named field is finite, and 0 or more."""
    for name in names:
        field, value = label(settings, name), getattr(settings, name)
        require(value >= 0, field, value, "0 or more", fix)
        require(value < math.inf, field, value, "finite", f"set {field} to a number; {fix}")


def require_fraction(settings: Any, *names: str) -> None:
    """Raises ValueError unless each named field lies in [0, 1]."""
    for name in names:
        field, value = label(settings, name), getattr(settings, name)
        require(0 <= value <= 1, field, value, "in [0, 1]", f"set {field} to a fraction")


def require_one_of(settings: Any, name: str, values: typing.Iterable[str]) -> None:
    """Raises ValueError unless the named field is one of these values."""
    value = getattr(settings, name)
    require(value in values, label(settings, name), value, f"one of {', '.join(values)}", "correct it")


def require_templates(name: str, templates: tuple[str, ...]) -> None:
    """Raises ValueError unless there is at least one template, and each has {} for the label."""
    require(bool(templates), name, templates, "not empty", "use ('{}',) for the bare label")
    for template in templates:
        require("{}" in template, name, template, "a text with {} in place of the label", "correct it")


def require_labels(name: str, labels: tuple[str, ...]) -> None:
    """Raises ValueError if a label is empty or occurs twice."""
    require(
        all(labels) and len(set(labels)) == len(labels),
        name,
        labels,
        "different texts, none of them empty",
        "correct it",
    )


def label(settings: Any, name: str) -> str:
    """The name of a field in gin, such as "Training.steps"."""
    owner = type(settings)
    return f"{DECLARED.get(owner, owner.__name__.removesuffix('Settings'))}.{name}"


def _require_types(settings: Any) -> None:
    """Raises ValueError unless each field's value has the annotated type; whole numbers become floats."""
    hints = typing.get_type_hints(type(settings))
    for field in dataclasses.fields(settings):
        value, hint = getattr(settings, field.name), hints[field.name]
        try:
            checked = _adapter(hint).validate_python(value)
        except pydantic.ValidationError:
            rule = f"of type {_kind(hint)}"
            raise ValueError(
                f"{label(settings, field.name)} is {_shown(value)}, but must be {rule}; {_fix(hint, value)}"
            ) from None
        if hint is float:
            object.__setattr__(settings, field.name, checked)


@functools.cache
def _adapter(hint: Any) -> pydantic.TypeAdapter:
    """Pydantic's check of a type. It is strict, so that it takes neither True nor "3" for a number."""
    strict = pydantic.ConfigDict(strict=True, arbitrary_types_allowed=True)
    return pydantic.TypeAdapter(hint, config=None if dataclasses.is_dataclass(hint) else strict)


def _shown(value: Any) -> str:
    """A value as gin writes it; settings are "@Name()"."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, types.FunctionType):
        return f"@{value.__name__}, without ()"
    return f"@{DECLARED[type(value)]}()" if type(value) in DECLARED else repr(value)


def _kind(hint: Any) -> str:
    """An annotated type in words of gin, such as "tuple[int, ...]", "@Augmentation() or None" or "Objective"."""
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(map(_kind, arguments))
    if arguments:
        return f"{hint.__origin__.__name__}[{', '.join(map(_kind, arguments))}]"
    if hint in (type(None), ...):
        return {type(None): "None", ...: "..."}[hint]
    return f"@{DECLARED[hint]}()" if hint in DECLARED else hint.__name__.removesuffix("Settings")


def _fix(hint: Any, value: Any) -> str:
    """What to do about a value of another type."""
    if typing.get_origin(hint) is tuple:
        with contextlib.suppress(pydantic.ValidationError):
            _adapter(hint).validate_python((value,))
            return f"write {_shown((value,))}, with the comma"
    names = sorted(DECLARED[one] for one in _classes(hint) if one in DECLARED)
    return "correct its value in gin" + (f"; it may be {', '.join(f'@{name}()' for name in names)}" if names else "")


def _classes(hint: Any) -> Iterator[type]:
    """The classes that a type names, and all that derive from them."""
    if isinstance(hint, type) and not typing.get_args(hint):
        yield hint
        below: list[type] = hint.__subclasses__()
        for one in below:
            yield from _classes(one)
    for argument in typing.get_args(hint):
        yield from _classes(argument)
