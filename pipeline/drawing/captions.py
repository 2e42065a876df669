"""Draws captions in any script below pictures. libraqm, which Pillow uses, joins and shapes the letters."""

import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence

import wcwidth
from PIL import Image, ImageDraw, ImageFont, features

from beam import fonts

_LINES, _LINE, _SIZE, _ASCENT = 3, 15, 11, 12  # pixels, except for the number of lines
HEIGHT = _LINES * _LINE
"""Pixels that a caption needs."""
_COLUMN = 160 / 26  # pixels, the mean width of a letter
_FEWEST = 8  # columns of a script with wide letters
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_RIGHT, _NUMBER, _MARK = ("R", "AL"), ("EN", "AN"), ("NSM", "BN")  # Unicode's bidirectional classes
_SHOWN = 10  # characters that a note lists


def draw(caption: str, width: int) -> Image.Image:
    """A picture of a caption, in at most three lines of `width` pixels."""
    cell = Image.new("RGB", (width, HEIGHT), "white")
    brush = ImageDraw.Draw(cell)
    for number, line in enumerate(_wrapped(_CONTROL.sub(" ", caption), width)):
        x = 0.0
        for font, part, direction in _in_order(line):
            brush.text((x, _ASCENT + number * _LINE), part, "black", _loaded(font.path), "ls", direction=direction)
            x += _length(font, part, direction)
    return cell


def _wrapped(caption: str, width: int) -> list[str]:
    columns = int(width / _COLUMN)
    while True:
        lines = wcwidth.wrap(caption, columns, max_lines=_LINES, placeholder="...")
        if columns <= _FEWEST or all(sum(_length(*part) for part in _in_order(line)) <= width for line in lines):
            return lines
        columns -= 1


def _length(font: fonts.Font, text: str, direction: str | None) -> float:
    return _loaded(font.path).getlength(text, direction=direction)


def notes(captions: Sequence[str]) -> list[str]:
    """Lines about captions that are drawn wrongly: characters without a font, and scripts that need libfribidi."""
    lines = []
    if missing := fonts.missing(captions):
        more = ", ..." if len(missing) > _SHOWN else ""
        named = ", ".join(f"U+{ord(one):04X}" for one in missing[:_SHOWN]) + more
        lines.append(f"note: no installed font has {named}; the contact sheet shows a box for each")
    if not _shapes() and any(map(_needs_shaping, "".join(captions))):
        lines.append(
            "note: letters of Hebrew, Arabic and Indic captions are neither joined nor in order, because Pillow finds "
            "no libfribidi; install it: apt-get install libfribidi0"
        )
    return lines


def _in_order(line: str) -> Iterator[tuple[fonts.Font, str, str | None]]:
    """Cuts a line into parts from the left to the right: (font, text, "ltr" or "rtl" if libraqm can shape it)."""
    levels = _levels(line)
    parts: list[tuple[fonts.Font, str, int]] = []
    place = 0
    for font, text in fonts.runs(line):
        for character in text:
            if parts and parts[-1][0] is font and parts[-1][2] == levels[place]:
                parts[-1] = font, parts[-1][1] + character, levels[place]
            else:
                parts.append((font, character, levels[place]))
            place += 1
    for lowest in (2, 1):  # reverse each row of parts whose level is at least this
        start = 0
        for end in range(len(parts) + 1):
            if end == len(parts) or parts[end][2] < lowest:
                parts[start:end] = parts[start:end][::-1]
                start = end + 1
    directions = ("ltr", "rtl", "ltr") if _shapes() else (None, None, None)
    return ((font, text, directions[level]) for font, text, level in parts)


def _levels(line: str) -> list[int]:
    """The level of each character, as in Unicode's bidirectional algorithm without embeddings.

    A level is 0 for left to right, 1 for right to left, and 2 for numbers and left to right inside of right to left.
    """
    kinds = [unicodedata.bidirectional(one) for one in line]
    strong = next((kind for kind in kinds if kind == "L" or kind in _RIGHT), "L")
    base = 0 if strong == "L" else 1
    levels: list[int | None] = []  # None: a space or sign, which goes with the letters around it
    last = base  # direction of the last letter
    for kind in kinds:
        if kind in _RIGHT:
            last = 1
            levels.append(1)
        elif kind == "L":
            last = 0
            levels.append(2 * base)
        elif kind in _NUMBER:
            levels.append(2 if last or base else 0)
        else:
            levels.append(levels[-1] if kind in _MARK and levels else None)
    found = [base]
    for place, level in enumerate(levels):
        if level is None:
            after = next((one for one in levels[place:] if one is not None), base)
            level = after if after == found[-1] else 1 if {after, found[-1]} == {1, 2} else base
        found.append(level)
    return found[1:]


def _needs_shaping(character: str) -> bool:
    return unicodedata.bidirectional(character) in _RIGHT or "\u0900" <= character <= "\u0dff"


@functools.cache
def _shapes() -> bool:
    return bool(features.check_feature("raqm"))


@functools.cache
def _loaded(path: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, _SIZE)
