"""Declares settings: frozen dataclasses whose types and rules are checked wherever they are made.

`@settings_class("Name")` is the one way to declare a class that gin can fill. This module knows no gin, so that the
data plane can use it, too. `models.settings.configuration` reads what is declared here.
"""

import dataclasses
import functools
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pydantic
import pydantic_core
from typing_extensions import dataclass_transform

Class = TypeVar("Class", bound=type)

DECLARED: dict[type, str] = {}
"""{settings class: its name in gin}."""

RENAMED: dict[str, str] = {}
"""{former name in gin: name today}, such as {"Pipeline.ingest": "Pipeline.image_text_gen"}."""

MAY_BE_UNUSED: set[type] = set()
"""Classes that a gin file may bind although nothing in the run uses them."""


@dataclass_transform(frozen_default=True)
def settings_class(
    name: str = "", formerly: Mapping[str, str] | None = None, may_be_unused: bool = False
) -> Callable[[Class], Class]:
    """Makes a class a frozen dataclass whose instances hold only values of the annotated types.

    The types are checked before the rules in the class's own `__post_init__`. Whole numbers become floats where the
    annotation is float.

    Args:
      name: the class's name in gin, as in `name.field = value`; "" for a base class that gin cannot fill.
      formerly: {former name in gin: name today}; configuration accepts a former name for one release.
      may_be_unused: whether a gin file may bind the class in a run that has no use for it, as gin/model/*.gin binds
        ImageTower whatever the objective is.
    """

    def declare(cls: Class) -> Class:
        own_rules = getattr(cls, "__post_init__", None)

        def check(self: Any) -> None:
            if type(self) is cls:  # not again for each base class
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
    """Raises ValueError("<name> is <value>, but must be <rule>; <fix>") unless `condition` holds."""
    if not condition:
        raise ValueError(f"{name} is {value!r}, but must be {rule}; {fix}")


def require_positive(settings: Any, *names: str) -> None:
    """Raises ValueError unless each named field is above zero."""
    for name in names:
        field, value = label(settings, name), getattr(settings, name)
        require(value > 0, field, value, "a number above 0", f"set {field} to 1 or more")


def require_at_least_zero(settings: Any, *names: str, fix: str = "0 switches it off") -> None:
    """Raises ValueError unless each named field is 0 or more."""
    for name in names:
        value = getattr(settings, name)
        require(value >= 0, label(settings, name), value, "0 or more", fix)


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
    """Raises ValueError unless there are templates, each with {} for the label."""
    require(bool(templates), name, templates, "not empty", "use ('{}',) for the label by itself")
    for template in templates:
        require("{}" in template, name, template, "a text with {} where the label goes", "correct it")


def require_labels(name: str, labels: tuple[str, ...]) -> None:
    """Raises ValueError unless the labels are different texts that are not empty."""
    require(all(labels) and len(set(labels)) == len(labels), name, labels, "texts, each of them once", "correct it")


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
            kind = getattr(hint, "__name__", str(hint)) if typing.get_origin(hint) is None else str(hint)
            require(False, label(settings, field.name), value, f"of type {kind}", "correct its value in gin")
        if hint is float:
            object.__setattr__(settings, field.name, checked)


@functools.cache
def _adapter(hint: Any) -> pydantic.TypeAdapter:
    """Pydantic's check of a type: strict, so that neither True is a number nor "3"."""
    strict = pydantic.ConfigDict(strict=True, arbitrary_types_allowed=True)
    return pydantic.TypeAdapter(hint, config=None if dataclasses.is_dataclass(hint) else strict)
