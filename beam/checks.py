"""Checks of options: each names the received value, the rule and the fix."""

from collections.abc import Iterable
from typing import Any


def require_rules(name: str, options: Any, rules: Iterable[tuple[str, bool, str]]) -> None:
    """Holds options against (field, whether its rule holds, the rule); `name` is what gin calls the options.

    Raises:
      ValueError: "<name>.<field> is <value>, but must be <rule>; correct it in gin".
    """
    for field, holds, rule in rules:
        if not holds:
            raise ValueError(f"{name}.{field} is {getattr(options, field)!r}, but must be {rule}; correct it in gin")
