"""gin at the boundary: text in, checked settings out, and back to text that needs no file.

Only this module and `models.settings.unused` call gin. gin's registry is global state, so `load` empties it before and
after each use. Settings travel to components and other processes as `to_gin` writes them: each value spelled out, no
includes. That text is the one codec of settings: `parse` makes equal, checked settings of it.
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
from models.settings import unused
from models.settings.checks import DECLARED, RENAMED

Settings = TypeVar("Settings")
_registered: set[type] = set()


class ConfigurationError(ValueError):
    """A gin file, binding or value that cannot be used; the message names it, the reason and the fix."""


def load(files: Sequence[str], bindings: Sequence[str], roots: Sequence[type]) -> list[Any]:
    """Reads gin files and bindings; returns one instance of each root.

    An include is relative to the folder of the file that has it, then to the working directory. A field whose default
    is another settings class is made by gin, so that bindings of that class need no `= @Class()`. A later file or
    binding may replace the class that an earlier file refers to, such as the optimiser; `load` then ignores the
    bindings of the replaced class.

    Args:
      files: paths of gin files; later ones win.
      bindings: lines of gin, which win over the files.
      roots: settings classes.

    Raises:
      ConfigurationError: a file is missing, a name is unknown, a value is refused, or no root uses a binding.
    """
    _register()
    gin.clear_config()
    readers = list(gin_config._FILE_READERS)
    gin_config._FILE_READERS[:] = [(_open, os.path.isfile)]
    try:
        replaceable: set[tuple[str, str]] = set()  # classes that earlier files refer to
        for path in files:
            if not os.path.isfile(path):
                raise ConfigurationError(f"--gin_file={path}: no such file; the project's own are in gin/")
            gin.parse_config_file(os.path.abspath(path))
            replaceable |= unused.referenced()
        of_files = unused.bound()
        gin.parse_config([_with_names_of_today(binding, "--gin_bindings") for binding in bindings])
        made = [gin.get_configurable(unused.selector(root))() for root in roots]
        unused.refuse(made, of_files, replaceable - unused.referenced())
        return made
    except ConfigurationError:
        raise
    except (ValueError, TypeError, AttributeError, SyntaxError, OSError, RuntimeError) as error:
        message = re.sub(r" \(<function \w+ at \w+>\)", "", str(error))  # of `_maker`
        raise ConfigurationError(f"gin: {message}") from error
    finally:
        gin_config._FILE_READERS[:] = readers
        gin.clear_config()


def parse(text: str, root: type[Settings]) -> Settings:
    """Makes one instance of `root` of the text that `to_gin` wrote; ConfigurationError as `load`."""
    return load([], [text], [root])[0]


def to_gin(*settings: Any) -> str:
    """Every value of the settings, nested ones included, as gin text: the operative config."""
    blocks: list[str] = []
    for one in settings:
        _append_block(one, blocks)
    return "\n".join(blocks)


def _append_block(settings: Any, blocks: list[str], scope: str = "") -> None:
    name, lines, nested = f"{scope}{DECLARED[type(settings)]}", [], []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if type(value) in DECLARED:
            nested.append((value, scope))
            shown = f"@{scope}{DECLARED[type(value)]}()"
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
        _append_block(value, blocks, inner)


def _register() -> None:
    """Tells gin the classes that were declared since the last call."""
    for cls, name in DECLARED.items():
        if cls not in _registered:
            gin.register(name, module=cls.__module__)(_maker(cls))
            _registered.add(cls)


def _maker(cls: type) -> Callable[..., Any]:
    """The function that makes an instance for gin; gin makes the nested defaults, too."""
    nested = {field.name: field.default for field in dataclasses.fields(cls) if type(field.default) in DECLARED}

    def make(**given: Any) -> Any:
        defaults = {name: _make_default(default) for name, default in nested.items() if name not in given}
        return cls(**defaults, **given)

    make.__name__ = make.__qualname__ = DECLARED[cls]
    make.__signature__ = inspect.signature(cls)  # type: ignore[attr-defined]  # gin refuses other parameters
    return make


def _make_default(default: Any) -> Any:
    """An instance like `default`, but with the bindings of its class."""
    cls = type(default)
    bound = unused.bound_now(cls)
    values = {field.name: getattr(default, field.name) for field in dataclasses.fields(cls)}
    nested = {name for name, value in values.items() if type(value) in DECLARED}
    kept = {name: value for name, value in values.items() if name not in bound | nested}
    return gin.get_configurable(unused.selector(cls))(**kept)


@contextlib.contextmanager
def _open(path: str) -> Iterator[IO[str]]:
    """Opens a gin file; while gin reads it, includes are looked for in its folder first."""
    usual = gin_config._LOCATION_PREFIXES
    with open(path, encoding="utf-8") as file:
        text = io.StringIO(_with_names_of_today(file.read(), path))
    text.name = path  # gin names it in errors
    gin_config._LOCATION_PREFIXES = [os.path.dirname(os.path.abspath(path)), ""]
    try:
        yield text
    finally:
        gin_config._LOCATION_PREFIXES = usual


def _with_names_of_today(text: str, where: str) -> str:
    """The text with former names replaced; prints a note for each."""
    for former, today in RENAMED.items():
        replaced = re.sub(rf"(?<![\w.'\"]){re.escape(former)}(?=[.(:]|\s*=)", today, text)
        if replaced != text:
            print(
                f"note: {where}: {former} is now {today}; the next release will not accept the former name",
                file=sys.stderr,
            )
        text = replaced
    return text
