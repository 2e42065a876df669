"""Fonts inside the page, so that it shows captions in any script on any machine."""

import base64
import io
import re
import unicodedata
from collections import defaultdict

import markupsafe
from fontTools import subset

from beam import fonts

FAMILY = "captions"
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


def faces(text: str) -> markupsafe.Markup:
    """CSS that defines FAMILY with the letters of `text`; empty if Latin, Greek and Cyrillic letters are all it has."""
    used: dict[fonts.Font, set[str]] = defaultdict(set)
    for font, part in fonts.runs("\n".join({*_NOT_ASCII.findall(text)})):
        # A browser may draw a letter by its parts: Thai U+0E33 by U+0E4D and U+0E32.
        used[font] |= {one for one in part + unicodedata.normalize("NFKD", part) if ord(one) in font.characters}
    used.pop(fonts.installed()[0], None)
    ordered = sorted(used.items(), key=lambda item: item[0].path)
    rules = [_face(font, characters) for font, characters in ordered if characters]
    return markupsafe.Markup("\n".join(rules))


def _face(font: fonts.Font, characters: set[str]) -> str:
    options = subset.Options(flavor="woff", font_number=0, drop_tables=["meta", "FFTM"])
    with subset.load_font(font.path, options) as opened:
        chooser = subset.Subsetter(options)
        chooser.populate(text="".join(sorted(characters)))
        chooser.subset(opened)
        encoded = io.BytesIO()
        subset.save_font(opened, encoded, options)
    data = base64.b64encode(encoded.getvalue()).decode()
    covered = ", ".join(f"U+{ord(one):X}" for one in sorted(characters))
    return f"@font-face {{ font-family: {FAMILY}; src: url(data:font/woff;base64,{data}); unicode-range: {covered}; }}"
