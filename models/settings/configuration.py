"""Makes settings from gin files and bindings, and gin text from settings.

Only this module and `models.settings.unused` call gin. gin's configuration is global state, so `load` clears it before
and after each use. Components and other processes get settings as the text that `to_gin` writes: it spells out every
value and includes no file. `parse` makes equal settings from that text, and checks them.
"""

import contextlib
import dataclasses
import inspect
import io
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, TypeVar

import gin
from gin import config as gin_config
from models.settings import messages, unused
from models.settings.checks import DECLARED, RENAMED

Settings = TypeVar("Settings")
_registered: set[type] = set()
_being_read: list[str] = []  # gin files, the outer one first
_texts: list[tuple[str, str]] = []  # (path, content) of the gin files that `load` has read
_GIN_ERRORS = (ValueError, TypeError, AttributeError, SyntaxError, OSError, RuntimeError)


class ConfigurationError(ValueError):
    """A gin file, binding or value is unusable; the message names it, the reason and the fix."""


@dataclasses.dataclass(frozen=True)
class GinFile:
    """A gin file that `load_in_order` reads; `path` may be relative to the working directory.

    With `must_use`, each of its bindings must be used, as those of the command line.
    """

    path: str
    must_use: bool = False


@dataclasses.dataclass(frozen=True)
class GinLines:
    """Lines of gin that `load_in_order` reads; `place` names them in messages."""

    text: str
    place: str = "--gin_bindings"


def load(files: Sequence[str], bindings: Sequence[str], roots: Sequence[type]) -> list[Any]:
    """Reads gin files and bindings; returns one instance of each root.

    gin looks for an included file in the folder of the file that includes it, and then in the working directory. If
    the default of a field is a settings instance, gin makes the value of that field, so bindings of its class need no
    `= @Class()`. A later file or binding may replace the class that an earlier file refers to, such as the optimiser;
    `load` then ignores what files have bound of the replaced class; a binding of the command line must be used.

    Args:
      files: paths of gin files; later ones win.
      bindings: lines of gin; they win over the files.
      roots: settings classes to make.

    Raises:
      ConfigurationError: a file is missing, a name is unknown, a value is refused, or no root uses a binding.
    """
    return load_in_order([*map(GinFile, files), *map(GinLines, bindings)], roots)


def load_in_order(parts: Sequence[GinFile | GinLines], roots: Sequence[type]) -> list[Any]:
    """As `load`, for files and lines in any order; later parts win. Lines count as a binding of the command line."""
    _register()
    gin.clear_config()
    _texts.clear()
    readers = list(gin_config._FILE_READERS)
    gin_config._FILE_READERS[:] = [(_open, os.path.isfile)]
    lines = [part.text for part in parts if isinstance(part, GinLines)]
    try:
        replaceable: set[tuple[str, str]] = set()  # classes that files refer to
        of_files: dict[unused.Binding, Any] = {}
        for part in parts:
            before = unused.bound()
            if isinstance(part, GinLines):
                _parse_lines(part)
                continue
            _parse_file(part.path)
            replaceable |= unused.referenced()
            if not part.must_use:
                of_files |= {
                    key: value for key, value in unused.bound().items() if before.get(key, before) is not value
                }
        made = [gin.get_configurable(unused.selector(root))() for root in roots]
        unused.refuse(made, of_files, replaceable - unused.referenced())
        return made
    except ConfigurationError:
        raise
    except _GIN_ERRORS as error:
        message = messages.with_place(messages.readable(str(error)), _texts, lines)
        raise ConfigurationError(f"gin: {message}") from error
    finally:
        gin_config._FILE_READERS[:] = readers
        gin.clear_config()


def _parse_lines(lines: GinLines) -> None:
    try:
        gin.parse_config(_checked(lines.text, lines.place))
    except ConfigurationError:
        raise
    except _GIN_ERRORS as error:
        message = messages.readable(str(error)).rstrip()
        raise ConfigurationError(f"gin: {message} ({lines.place})") from error


def _parse_file(path: str) -> None:
    if not os.path.isfile(path):
        raise ConfigurationError(f"--gin_file={path}: no such file; the project's own are in gin/")
    gin.parse_config_file(os.path.abspath(path))


def parse(text: str, root: type[Settings]) -> Settings:
    """Makes one instance of `root` from the text that `to_gin` wrote. Raises the errors of `load`."""
    return load([], [text], [root])[0]


def to_gin(*settings: Any) -> str:
    """Writes every value of the settings, nested ones included, as gin text."""
    blocks: list[str] = []
    named: dict[str, Any] = {}
    for one in settings:
        _append_block(one, blocks, named)
    return "\n".join(blocks)


def _append_block(settings: Any, blocks: list[str], named: dict[str, Any], scope: str = "") -> None:
    name, lines, nested = f"{scope}{DECLARED[type(settings)]}", [], []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if type(value) in DECLARED:
            inner = _free_scope(value, field.name, named, scope)
            nested.append((value, inner))
            shown = f"@{inner}{DECLARED[type(value)]}()"
        elif isinstance(value, tuple) and value and all(type(item) in DECLARED for item in value):
            scopes = [f"{scope}{field.name}_{number}/" for number in range(len(value))]
            nested += zip(value, scopes, strict=True)
            shown = f"({' '.join(f'@{s}{DECLARED[type(v)]}(),' for v, s in zip(value, scopes, strict=True))})"
        else:
            shown = repr(value)
        lines.append(f"{name}.{field.name} = {shown}")
    block = "\n".join(lines) + "\n"
    if lines and block not in blocks:
        blocks.append(block)
    for value, inner in nested:
        _append_block(value, blocks, named, inner)


def _free_scope(value: Any, field: str, named: dict[str, Any], scope: str) -> str:
    """The scope to write a value in: `scope`, unless another value of its class, in `named`, is there already."""
    while named.setdefault(f"{scope}{DECLARED[type(value)]}", value) != value:
        scope += f"{field}/"
    return scope


def _register() -> None:
    """Registers with gin the classes that were declared since the last call."""
    for cls, name in DECLARED.items():
        if cls not in _registered:
            gin.register(name, module=cls.__module__)(_maker(cls))
            _registered.add(cls)


def _maker(cls: type) -> Callable[..., Any]:
    """Returns the function by which gin makes an instance. gin makes the nested defaults too."""
    nested = {field.name: field.default for field in dataclasses.fields(cls) if type(field.default) in DECLARED}

    def make(**given: Any) -> Any:
        defaults = {name: _make_default(default) for name, default in nested.items() if name not in given}
        return cls(**defaults, **given)

    make.__name__ = make.__qualname__ = DECLARED[cls]
    make.__signature__ = inspect.signature(cls)  # type: ignore[attr-defined]  # gin refuses other parameters
    return make


def _make_default(default: Any) -> Any:
    """Makes an instance equal to `default`, except for the fields that gin binds."""
    cls = type(default)
    bound = unused.bound_now(cls)
    values = {field.name: getattr(default, field.name) for field in dataclasses.fields(cls)}
    nested = {name for name, value in values.items() if type(value) in DECLARED}
    kept = {name: value for name, value in values.items() if name not in bound | nested}
    return gin.get_configurable(unused.selector(cls))(**kept)


@contextlib.contextmanager
def _open(path: str) -> Iterator[IO[str]]:
    """Opens a gin file. While gin reads it, gin looks for included files in its folder first."""
    usual, path = gin_config._LOCATION_PREFIXES, os.path.abspath(path)
    if path in _being_read:
        raise ConfigurationError(f"{' includes '.join([*_being_read, path])}; remove one of these includes")
    with open(path, encoding="utf-8") as file:
        text = io.StringIO(_checked(file.read(), path))
    _texts.append((path, text.getvalue()))
    text.name = path  # gin's errors name the file by it
    gin_config._LOCATION_PREFIXES = [os.path.dirname(path), ""]
    _being_read.append(path)
    try:
        yield text
    finally:
        _being_read.pop()
        gin_config._LOCATION_PREFIXES = usual


def _checked(text: str, where: str) -> str:
    """The text with current names; raises ConfigurationError if a dict has a key twice."""
    if repeated := messages.repeated_key(text):
        line, key = repeated
        raise ConfigurationError(f"{where}, line {line}: the key {key!r} occurs twice; rename or remove one of them")
    return _with_current_names(text, where)


def _with_current_names(text: str, where: str) -> str:
    """Replaces former names, and former names with a value, by the current ones; prints a note for each."""
    for former, current in RENAMED.items():
        name, _, value = former.partition(" = ")
        after = rf"\s*=\s*{re.escape(value)}(?=[ \t]*(?:#|$))" if value else r"(?=[.(:]|\s*=)"
        replaced = re.sub(rf"(?<![\w.'\"]){re.escape(name)}{after}", current, text, flags=re.MULTILINE)
        if replaced != text:
            print(
                f"note: {where}: {former} is now {current}; the next release will not accept the former name",
                file=sys.stderr,
            )
        text = replaced
    return text
