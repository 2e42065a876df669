"""Icon sets of Iconify: every icon is a picture, and its names are the captions."""

import importlib.metadata
import os
from collections.abc import Iterator
from typing import Any, ClassVar

from beam.records import Rejected
from beam.sources.files import compressed
from beam.sources.iconify import svg
from beam.sources.iconify.icon_set import Drawing, IconSet
from beam.sources.iconify.rasteriser import Rasteriser
from beam.sources.rows import json_object
from beam.sources.rows.raw import InvalidRow, RawRow
from beam.sources.rows.source import RowSource
from models.settings.checks import label, require, settings_class

_rasteriser = Rasteriser()


@settings_class("IconifySource")
class IconifySource(RowSource):
    """Reads icons.json files of Iconify's npm packages, such as @iconify-json/noto, and draws the icons with resvg.

    An icon set is an artist. `make emoji-artists` fetches six who have drawn the same emoji. The captions of a picture
    are the icon's name and its aliases, in words. An alias that mirrors or turns its icon is a picture of its own.
    `category` is the prefix of the icon set, so that metrics can be sliced by artist. `class_name` is the first
    caption: rows of several artists that share it show one concept. So set ImageTextGen.unique_captions = False.

    Attributes:
      size: longer side of the stored pictures (pixels).
      artists: names of the folders of icons.json to read, such as ("noto", "twemoji"). () reads all of `path`.
    """

    name: ClassVar[str] = "iconify"
    example: ClassVar[str] = "output/emoji-artists/packages/*/icons.json"
    spread: ClassVar[bool] = True

    language: str = "en"
    size: int = 72
    artists: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        require(16 <= self.size <= 4096, label(self, "size"), self.size, "in [16, 4096] (pixels)", "try 72")

    def fingerprint(self) -> str:
        try:
            version = importlib.metadata.version("resvg-py")
        except importlib.metadata.PackageNotFoundError as error:
            raise ValueError(
                "the source iconify needs the package resvg-py; pip install 'siglip-tfx[quickstart]'"
            ) from error
        return f"{super().fingerprint()} resvg-py=={version}"

    def raw_rows(self, split: str) -> Iterator[RawRow | Rejected]:
        most = self.limits.json_bytes
        with compressed.opened(split, self.limits) as file:
            content = file.read(most + 1)
        if len(content) > most:
            detail = f"the file has more than {most} bytes (Limits.json_bytes); no icon of it is read"
            raise InvalidRow("file_too_large", detail)
        for name, drawing in IconSet(json_object.parsed(content, self.limits, "the file")).drawings():
            if isinstance(drawing, InvalidRow):
                yield Rejected("", f"{split}:{name}", drawing.reason, drawing.detail)
            else:
                yield RawRow(split, name, (name, drawing))

    def decode(self, content: tuple[str, Drawing]) -> dict[str, Any]:
        name, drawing = content
        return {
            "key": f"{drawing.prefix}-{name}",
            "image": _rasteriser.png(svg.document(drawing, self.limits), self.size),
            "captions": drawing.captions,
            "category": drawing.prefix,
            "class_name": drawing.captions[0],
        }

    def _files(self) -> list[Any]:
        artists = {file.path: os.path.basename(os.path.dirname(file.path)) for file in super()._files()}
        there = sorted(set(artists.values()))
        unknown = sorted(set(self.artists) - set(there))
        rule = f"folders of {type(self).__name__}.path, {self.path!r}: {', '.join(there)}"
        require(not unknown, label(self, "artists"), self.artists, rule, f"correct {', '.join(unknown)}")
        return [file for file in super()._files() if not self.artists or artists[file.path] in self.artists]
