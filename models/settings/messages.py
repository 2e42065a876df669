"""gin's own messages, with the fix that gin leaves out."""

import dataclasses
import difflib
import re

from models.settings.checks import DECLARED

_UNKNOWN_CLASS = re.compile(r"No configurable matching '(?:[\w/]+/)?(\w+)'")
_UNKNOWN_FIELD = re.compile(r"Configurable '(\w+)' doesn't have a parameter named '(\w+)'")
_NO_LITERAL = re.compile(r"malformed node or string.*")


def readable(message: str) -> str:
    """The message without addresses of memory, and with the nearest name or another fix at its end."""
    message = re.sub(r" \(<function \w+ at \w+>\)", "", message)
    called = re.search(r"is <function (\w+) at \w+>", message)
    if called:
        message = message.replace(called[0], f"is @{called[1]}, without ()")
    message = _NO_LITERAL.sub("the value is no number, text, tuple, dict or @Class(); put a text in quotes", message)
    if unknown := _UNKNOWN_CLASS.search(message):
        return f"{message.rstrip()}\n  {_nearest(unknown[1], list(DECLARED.values()), 'classes')}"
    if unknown := _UNKNOWN_FIELD.search(message):
        fields = [
            field.name for cls, name in DECLARED.items() if name == unknown[1] for field in dataclasses.fields(cls)
        ]
        return f"{message.rstrip()}\n  {_nearest(unknown[2], fields, f'fields of {unknown[1]}')}"
    return message


def _nearest(name: str, known: list[str], what: str) -> str:
    lower = {one.lower(): one for one in known}
    near = [lower[one] for one in difflib.get_close_matches(name.lower(), lower, n=3)]
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"The {what} that this command knows: {', '.join(sorted(known))}"
