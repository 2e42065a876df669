"""gin at the boundary: text in, checked settings out, and back to text that needs no file.

Settings are plain frozen dataclasses; gin only ever makes them here. gin's registry is global state, so it is emptied
before and after each use, and what travels to another process is `to_gin(...)`: every value spelled out, no includes.
"""

import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import gin
from gin import config as gin_config

Settings = TypeVar("Settings")
_NAMES: dict[type, str] = {}


class ConfigurationError(ValueError):
    """A gin file, binding or value that cannot be used; the message says which, why and what to do."""


def configurable(name: str) -> Callable[[type[Settings]], type[Settings]]:
    """Makes a dataclass tunable as `name.field = value` in gin; the class itself stays as it is."""

    def register(cls: type[Settings]) -> type[Settings]:
        gin.register(name)(cls)
        _NAMES[cls] = name
        return cls

    return register


def load(files: Sequence[str], bindings: Sequence[str], roots: Sequence[type]) -> list[Any]:
    """Reads gin files (their includes are relative to each file's folder) and bindings; returns one instance a root.

    A later file or binding may replace what an earlier file refers to, such as the optimiser; what that file has set of
    the replaced one is then left aside.

    Raises:
      ConfigurationError: a file is missing, a name is unknown, a value is refused, or a binding was used by no root.
    """
    gin.clear_config()
    prefixes = gin_config._LOCATION_PREFIXES
    usual = list(prefixes)
    replaceable: set[tuple[str, str]] = set()  # what earlier files refer to
    try:
        for path in files:
            if not os.path.isfile(path):
                raise ConfigurationError(f"--gin_file={path}: no such file; the project's own are in gin/")
            # The file's folder first, so that gin does not log an error for each place it looks in before.
            prefixes[:] = [os.path.dirname(os.path.abspath(path)), *usual]
            gin.parse_config_file(os.path.abspath(path))
            replaceable |= _referenced()
        prefixes[:] = usual
        gin.parse_config(list(bindings))
        made = [gin.get_configurable(root)() for root in roots]
        _refuse_unused(made, replaceable - _referenced())
        return made
    except ConfigurationError:
        raise
    except (ValueError, TypeError, AttributeError, SyntaxError, OSError, RuntimeError) as error:
        raise ConfigurationError(f"gin: {error}") from error
    finally:
        prefixes[:] = usual
        gin.clear_config()


def parse(text: str, root: type[Settings]) -> Settings:
    """Makes one instance of `root` from resolved gin text, as `to_gin` writes it."""
    return load([], [text], [root])[0]


def to_gin(*settings: Any) -> str:
    """Every value of the settings, nested ones included, as gin text: the operative config."""
    blocks: list[str] = []
    for one in settings:
        _append_block(one, blocks)
    return "\n".join(blocks)


def _append_block(settings: Any, blocks: list[str], scope: str = "") -> None:
    name, lines, nested = f"{scope}{_NAMES[type(settings)]}", [], []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if type(value) in _NAMES:
            nested.append((value, scope))
            shown = f"@{scope}{_NAMES[type(value)]}()"
        elif isinstance(value, tuple) and value and all(type(item) in _NAMES for item in value):
            scopes = [f"{scope}{field.name}_{number}/" for number in range(len(value))]
            nested += zip(value, scopes, strict=True)
            shown = f"({' '.join(f'@{s}{_NAMES[type(v)]}(),' for v, s in zip(value, scopes, strict=True))})"
        else:
            shown = repr(value)
        lines.append(f"{name}.{field.name} = {shown}")
    block = "\n".join(lines) + "\n"
    if lines and block not in blocks:
        blocks.append(block)
    for value, inner in nested:
        _append_block(value, blocks, inner)


def _referenced() -> set[tuple[str, str]]:
    """(scope, selector) of what the config refers to with @, by itself or in a tuple."""
    values = (value for parameters in gin_config._CONFIG.values() for value in parameters.values())
    single = (one for value in values for one in (value if isinstance(value, tuple) else (value,)))
    return {one.config_key for one in single if isinstance(one, gin_config.ConfigurableReference)}


def _refuse_unused(made: Iterable[Any], replaced: set[tuple[str, str]]) -> None:
    used = gin_config._OPERATIVE_CONFIG
    for (scope, selector), parameters in gin_config._CONFIG.items():
        if (scope, selector) in replaced:
            continue
        for parameter in parameters:
            if not any(
                parameter in read
                for (where, what), read in used.items()
                if what == selector and f"{where}/".startswith(f"{scope}/" if scope else "")
            ):
                short = f"{scope}/" if scope else ""
                name = short.rstrip("/") if selector == "gin.macro" else f"{short}{selector.split('.')[-1]}.{parameter}"
                roots = ", ".join(sorted(_NAMES[type(one)] for one in made))
                raise ConfigurationError(
                    f"gin: {name} is set, but nothing uses it (read: {roots} and what they refer to); "
                    "remove it, or refer to its owner with @"
                )
