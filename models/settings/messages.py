"""gin's own messages, with the fix that gin leaves out."""

import ast
import dataclasses
import difflib
import io
import re
import tokenize
from collections.abc import Iterator, Sequence

from models.settings.checks import DECLARED

_UNKNOWN_CLASS = re.compile(r"No configurable matching '(?:[\w/]+/)?(\w+)'")
_UNKNOWN_FIELD = re.compile(r"Configurable '(\w+)' doesn't have a parameter named '(\w+)'")
_BEGINS_WITH_FIELD = re.compile(r"((?:\w+/)*)([A-Z]\w*\.\w+)\b")
_NO_LITERAL = re.compile(r"malformed node or string.*")


def readable(message: str) -> str:
    """The message without addresses of memory, and with the nearest name or another fix at its end."""
    message = re.sub(r" \(<function \w+ at \w+>\)", "", message)
    message = _NO_LITERAL.sub("the value is no number, text, tuple, dict or @Class(); put a text in quotes", message)
    if unknown := _UNKNOWN_CLASS.search(message):
        return f"{message.rstrip()}\n  {_nearest(unknown[1], list(DECLARED.values()), 'classes')}"
    if unknown := _UNKNOWN_FIELD.search(message):
        fields = [
            field.name for cls, name in DECLARED.items() if name == unknown[1] for field in dataclasses.fields(cls)
        ]
        return f"{message.rstrip()}\n  {_nearest(unknown[2], fields, f'fields of {unknown[1]}')}"
    return message


def repeated_key(text: str) -> tuple[int, str] | None:
    """(line, key) of the first text that is twice a key of one dict, of which gin would take the last value."""
    open_brackets: list[set[str]] = []  # for each, the keys so far
    last: tokenize.TokenInfo | None = None
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE):
                continue
            if token.string in ("(", "[", "{"):
                open_brackets.append(set())
            elif token.string in (")", "]", "}") and open_brackets:
                open_brackets.pop()
            elif token.string == ":" and open_brackets and last is not None and last.type == tokenize.STRING:
                key, keys = str(ast.literal_eval(last.string)), open_brackets[-1]
                if key in keys:
                    return last.start[0], key
                keys.add(key)
            last = token
    except (tokenize.TokenError, SyntaxError, ValueError):
        return None  # gin names what is wrong
    return None


def with_place(message: str, texts: Sequence[tuple[str, str]], bindings: Sequence[str]) -> str:
    """The message with the file and line that bound the field which it begins with, if a file did.

    Args:
      message: such as "Training.steps is 'x', but ...".
      texts: (path, content) of the gin files, in the order in which gin read them.
      bindings: lines of the command line, which win over the files.
    """
    named = _BEGINS_WITH_FIELD.match(message)
    if not named:
        return message
    scope = re.escape(named[1]) or r"(?:\w+/)*"
    binds = re.compile(rf"\s*{scope}(?:[\w.]+\.)?{re.escape(named[2])}\s*=")
    if any(binds.match(line) for binding in bindings for line in binding.splitlines()):
        return message
    places = [f"{path}, line {number}" for path, number, line in _in_order(iter(texts)) if binds.match(line)]
    return f"{message} ({places[-1]})" if places else message


def _in_order(texts: Iterator[tuple[str, str]]) -> Iterator[tuple[str, int, str]]:
    """(path, number, line) of all lines in the order in which gin reads them: an included file stands for its line."""
    for path, text in texts:
        yield from _lines(path, text, texts)


def _lines(path: str, text: str, following: Iterator[tuple[str, str]]) -> Iterator[tuple[str, int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        included = next(following, None) if re.match(r"\s*include\s", line) else None
        if included:
            yield from _lines(*included, following)
        yield path, number, line


def _nearest(name: str, known: list[str], what: str) -> str:
    lower = {one.lower(): one for one in known}
    near = [lower[one] for one in difflib.get_close_matches(name.lower(), lower, n=3)]
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return f"The {what} that this command knows: {', '.join(sorted(known))}"
