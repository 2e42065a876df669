"""Icon sets: the drawings of an icons.json, each with all its names.

The format is Iconify's: https://iconify.design/docs/types/iconify-json.html
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from beam.sources.rows.raw import InvalidRow, shown

_BOX = {"left": 0, "top": 0, "width": 16, "height": 16}  # the format's defaults
_LARGEST = 10_000  # units of a side; the icon sets of emoji have at most 128
_TONES = ("light", "medium-light", "medium", "medium-dark", "dark")


class View(NamedTuple):
    """What part of an icon is seen, and how. Two names of one view are two names of one drawing.

    Attributes:
      icon: name of the icon whose SVG is drawn.
      box: left, top, width and height of the part, in units of the SVG.
      mirrored: whether it is mirrored, left to right.
      upside_down: whether it is mirrored, top to bottom.
      turns: number of quarter turns, clockwise, after mirroring: 0 to 3.
    """

    icon: str
    box: tuple[float, float, float, float]
    mirrored: bool = False
    upside_down: bool = False
    turns: int = 0


class Drawing(NamedTuple):
    """A drawing of an icon set, before it is drawn.

    Attributes:
      prefix: name of the icon set.
      captions: names of the icon in words, the first of the icon itself, then those of its aliases.
      view: what to draw.
      body: SVG elements of the icon, without the element svg around them; not checked.
    """

    prefix: str
    captions: tuple[str, ...]
    view: View
    body: str


class _Found(NamedTuple):
    view: View
    hidden: bool


class IconSet:
    """The icons and aliases of one icons.json."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        """Checks the outer form; raises InvalidRow if no icon of the set can be read."""
        given: dict[str, Any] = {"aliases": {}, **content}
        for name, kind in (("prefix", str), ("icons", dict), ("aliases", dict)):
            value = given.get(name)
            if not isinstance(value, kind) or value == "":
                what = "a text" if kind is str else "an object"
                detail = f"{name} is {shown(value)}, but must be {what}, as in an icons.json of Iconify"
                raise InvalidRow("invalid_icon_set", f"{detail}; no icon of the file is read")
        self._prefix: str = given["prefix"]
        self._icons: dict[str, Any] = given["icons"]
        self._aliases: dict[str, Any] = given["aliases"]
        self._names = {**self._icons, **self._aliases}  # in the order of the file, the icons first
        self._box = {name: content.get(name, default) for name, default in _BOX.items()}
        self._found: dict[str, _Found | InvalidRow] = {}

    def drawings(self) -> Iterator[tuple[str, Drawing | InvalidRow]]:
        """Yields (name, drawing) for each drawing, and (name, reason) for each name that has none to show."""
        names: dict[View, list[str]] = {}
        for name in self._names:
            found = self._resolved(name)
            if isinstance(found, InvalidRow):
                yield name, found
            elif found.hidden:
                yield name, InvalidRow("icon_hidden", "the icon set hides it: it is out of date, or no icon by itself")
            else:
                names.setdefault(found.view, []).append(name)
        for view, of_view in names.items():
            captions = tuple(dict.fromkeys(map(self._caption, of_view)))
            yield of_view[0], Drawing(self._prefix, captions, view, self._icons[view.icon]["body"])

    def _resolved(self, name: str) -> _Found | InvalidRow:
        """Follows aliases to an icon. Each name is followed once, so a long chain takes no long time."""
        path: list[str] = []
        while name not in self._found:
            if name in self._icons:
                self._found[name] = self._of_icon(name)
            elif name not in self._aliases:
                self._found[name] = InvalidRow("alias_without_icon", f"there is no icon {shown(name)}, its parent")
            elif not isinstance(parent := _parent(self._aliases[name]), str):
                detail = f"parent is {shown(parent)}, but must be the name of an icon or alias"
                self._found[name] = InvalidRow("invalid_icon", detail)
            else:
                path.append(name)
                self._found[name] = InvalidRow("alias_cycle", f"the parents of {shown(name)} lead back to it")
                name = parent
        for alias in reversed(path):
            below = self._found[self._aliases[alias]["parent"]]
            self._found[alias] = below if isinstance(below, InvalidRow) else _checked(below, self._aliases[alias])
        return self._found[(path or [name])[0]]

    def _of_icon(self, name: str) -> _Found | InvalidRow:
        icon = self._icons[name]
        if not isinstance(icon, dict):
            return InvalidRow("invalid_icon", f"the icon is {shown(icon)}, but must be an object")
        if not isinstance(icon.get("body"), str) or not icon["body"].strip():
            detail = f"body is {shown(icon.get('body'))}, but must be the SVG of the icon"
            return InvalidRow("icon_without_body", detail)
        return _checked(_Found(View(name, _box(_BOX)), False), {**self._box, **icon})

    def _caption(self, name: str) -> str:
        """The name in words. Where others write man-dark-skin-tone, Fluent writes man-dark; both give one caption."""
        for tone in _TONES:
            stem = name.removesuffix(f"-{tone}")
            if stem != name and all(f"{stem}-{each}" in self._names for each in _TONES):
                name += "-skin-tone"
                break
        return name.replace("-", " ").replace("_", " ")


def _parent(alias: Any) -> Any:
    return alias.get("parent") if isinstance(alias, dict) else None


def _checked(below: _Found, properties: Mapping[str, Any]) -> _Found | InvalidRow:
    try:
        return _overlaid(below, properties)
    except InvalidRow as error:
        return InvalidRow(error.reason, error.detail)  # without the traceback, which holds memory


def _overlaid(below: _Found, properties: Mapping[str, Any]) -> _Found:
    """Adds the properties of an icon or alias to what its parent has, as the format says."""
    view = below.view
    turns = properties.get("rotate", 0)
    if not isinstance(turns, int) or isinstance(turns, bool):
        raise InvalidRow("invalid_icon", f"rotate is {shown(turns)}, but must be a number of quarter turns")
    under = dict(zip(_BOX, view.box, strict=True))
    seen = View(
        view.icon,
        _box({name: properties.get(name, under[name]) for name in _BOX}),
        view.mirrored ^ _flag(properties, "hFlip", False),
        view.upside_down ^ _flag(properties, "vFlip", False),
        (view.turns + turns) % 4,
    )
    return _Found(seen, _flag(properties, "hidden", below.hidden))


def _flag(properties: Mapping[str, Any], name: str, default: bool) -> bool:
    value = properties.get(name, default)
    if not isinstance(value, bool):
        raise InvalidRow("invalid_icon", f"{name} is {shown(value)}, but must be true or false")
    return value


def _box(values: Mapping[str, Any]) -> tuple[float, float, float, float]:
    for name, value in values.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        smallest = -_LARGEST if name in ("left", "top") else 0
        if not is_number or not smallest <= value <= _LARGEST or (value == 0 and name in ("width", "height")):
            rule = f"a number from {smallest} to {_LARGEST}" if smallest else f"a number above 0, up to {_LARGEST}"
            raise InvalidRow("invalid_icon", f"{name} is {shown(value)}, but must be {rule}")
    return float(values["left"]), float(values["top"]), float(values["width"]), float(values["height"])
