"""Fonts that draw captions in any script: which font draws which part of a text.

Noto Sans for each script is from the packages manimgx-fonts and noto-cjk-sans-otc. DejaVu Sans, which Matplotlib
ships, has further symbols.
"""

import functools
import importlib.resources
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

import matplotlib
from fontTools import ttLib

_PACKAGES = ("manimgx_fonts", "noto_cjk_sans_otc")
_FIRST = "NotoSans[wght].ttf"  # Latin, Greek and Cyrillic
_JOINERS = frozenset({0x200C, 0x200D, *range(0xFE00, 0xFE10), *range(0x1F3FB, 0x1F400), *range(0xE0020, 0xE0080)})


class Font(NamedTuple):
    """A font file.

    Attributes:
      path: of the file. Of a collection of fonts, the first is meant.
      family: the font's name.
      characters: the code points that it draws.
    """

    path: str
    family: str
    characters: frozenset[int]


@functools.cache
def installed() -> tuple[Font, ...]:
    """The fonts, in the order in which `runs` asks them; the first draws Latin, Greek and Cyrillic."""
    paths = [
        str(file)
        for package in _PACKAGES
        for file in sorted(importlib.resources.files(package).iterdir(), key=lambda file: file.name)
        if file.name.endswith((".ttf", ".otf", ".ttc")) and "Italic" not in file.name
    ]
    paths.sort(key=lambda path: not path.endswith(_FIRST))
    return tuple(map(_read, [*paths, f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"]))


def runs(text: str) -> list[tuple[Font, str]]:
    """Cuts a text into parts, each with the font that draws it.

    A part that no font can draw gets the first font, which draws a box for each character.
    """
    parts: list[tuple[Font, str]] = []
    for character in text:
        before = parts[-1][0] if parts else None
        font = _font_of(character, before)
        if font is before:
            parts[-1] = font, parts[-1][1] + character
        else:
            parts.append((font, character))
    return parts


def missing(texts: Iterable[str]) -> list[str]:
    """The characters of the texts that no font draws, each once, sorted."""
    drawn = frozenset().union(*(font.characters for font in installed()))
    return sorted(one for one in set().union(*texts) if ord(one) not in drawn and not _is_invisible(one))


def _font_of(character: str, before: Font | None) -> Font:
    code = ord(character)
    follows = unicodedata.category(character).startswith("M") or _is_invisible(character)
    candidates = [before, *installed()] if before and follows else installed()
    found = next((font for font in candidates if code in font.characters), None)
    return found or before or installed()[0]


def _is_invisible(character: str) -> bool:
    return ord(character) in _JOINERS or unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp")


def _read(path: str) -> Font:
    with ttLib.TTFont(path, fontNumber=0, lazy=True) as font:
        return Font(path, font["name"].getBestFamilyName(), frozenset(font.getBestCmap()))
