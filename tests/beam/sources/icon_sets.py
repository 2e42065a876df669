"""Writes small icons.json files, and reads them."""

import json
import pathlib
from typing import Any

from beam.records import ImageText, Rejected
from beam.sources.iconify.source import IconifySource
from tests.beam.sources.outcomes import all_of

RED = '<path fill="red" d="M0 0h16v16H0z"/>'
HALF = '<path fill="red" d="M0 0h8v16H0z"/><path fill="blue" d="M8 0h8v16H8z"/>'  # red on the left, blue on the right


def write(folder: pathlib.Path, content: Any, artist: str = "toy") -> IconifySource:
    """Writes the icons.json of an artist; `content` is its text, or an object that lacks the prefix."""
    path = folder / artist / "icons.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps({"prefix": artist, **content})
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return IconifySource(str(folder / "*" / "icons.json"), size=16)


def read(folder: pathlib.Path, content: Any, **settings: Any) -> tuple[dict[str, ImageText], dict[str, Rejected]]:
    """{key: row} and {icon's name, or "after ..." for the rest of the file: reject} of an icons.json."""
    write(folder, content)
    path = folder / "toy" / "icons.json"
    found = all_of(IconifySource(str(path), **{"size": 16, **settings}), path)
    rejected = {one.position.removeprefix(f"{path}:"): one for one in found if isinstance(one, Rejected)}
    return {one.key: one for one in found if isinstance(one, ImageText)}, rejected
