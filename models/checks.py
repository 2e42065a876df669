"""Checks of settings: each names the received value, the rule and the fix."""

from typing import Any


def require(condition: bool, name: str, value: Any, rule: str, fix: str) -> None:
    """Raises ValueError("<name> is <value>, but must be <rule>; <fix>") unless `condition` holds."""
    if not condition:
        raise ValueError(f"{name} is {value!r}, but must be {rule}; {fix}")


def require_positive(owner: object, *names: str) -> None:
    """Raises ValueError unless each named attribute of `owner` is a number above zero."""
    for name in names:
        value = getattr(owner, name)
        label = f"{type(owner).__name__.removesuffix('Settings')}.{name}"
        require(
            isinstance(value, int | float) and value > 0, label, value, "a number above 0", f"set {label} to 1 or more"
        )


def require_fraction(owner: object, *names: str) -> None:
    """Raises ValueError unless each named attribute of `owner` lies in [0, 1]."""
    for name in names:
        value = getattr(owner, name)
        label = f"{type(owner).__name__.removesuffix('Settings')}.{name}"
        require(
            isinstance(value, int | float) and 0 <= value <= 1, label, value, "in [0, 1]", f"set {label} to a fraction"
        )
