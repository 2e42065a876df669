"""Scenes of several OpenMoji pictures, to measure whether a model finds the picture that a text names."""

import dataclasses
import hashlib
import importlib.metadata
import io
import math
import random
from collections.abc import Iterable, Iterator
from typing import ClassVar, NamedTuple

import apache_beam as beam
from PIL import Image

from beam import shuffle
from beam.records import ImageText, Outcome, Rejected
from beam.sources import openmoji
from beam.writer import Layout
from models.settings.checks import require, require_one_of, require_positive, settings_class

_SPLITS = ("train", "eval", "test")
_SCENE = "openmoji-scene:"  # then the codes of the pictures, a colon, and a number
_JOINED = "_"
_ATTEMPTS = 50
Box = tuple[int, int, int]
"""Top, left and side of a square (pixels)."""


@settings_class("OpenMojiScenes")
class OpenMojiScenes:
    """Draws scenes: two to four OpenMoji pictures side by side on white, without overlap.

    A scene of the train split is one row, whose caption joins the names by "and". A scene of another split is one row
    for each picture: the caption is its name, `boxes` its place, and the rows of a scene share a group. Each draw
    derives from the seed and the scene's number. A scene shows pictures of its own split only. Pictures that look the
    same are in one group, and so in one split; each is shown by one of them.

    Use split "train" in ImageTextGen, and "eval" or "test" in an evaluation set. Its shares and salt must be those of
    ImageTextGen: EvaluationSuite stops if a training row shows a picture of a scene of the set.

    Attributes:
      split: "train", "eval" or "test", whose pictures the scenes show.
      scenes: number of scenes.
      pictures: also gives all single pictures, of every split, as `OpenMojiSource` does.
      size: side of the single pictures (pixels).
      canvas: side of a scene (pixels).
      min_objects, max_objects: number of pictures in a scene.
      min_side, max_side: side of a picture in a scene (pixels).
      seed: seed of the draws.
      train_share, eval_share, test_share, salt: those of ImageTextGen.
    """

    name: ClassVar[str] = "openmoji_scenes"
    split: str = "train"
    scenes: int = 1000
    pictures: bool = True
    size: int = 72
    canvas: int = 224
    min_objects: int = 2
    max_objects: int = 4
    min_side: int = 48
    max_side: int = 96
    seed: int = 0
    train_share: int = 8
    eval_share: int = 1
    test_share: int = 1
    salt: str = "siglip"

    def __post_init__(self) -> None:
        require_one_of(self, "split", _SPLITS)
        numbers = ("scenes", "canvas", "min_objects", "min_side", "train_share", "eval_share", "test_share")
        require_positive(self, *numbers)
        for low, high in (("min_objects", "max_objects"), ("min_side", "max_side")):
            value, least = getattr(self, high), getattr(self, low)
            require(value >= least, f"OpenMojiScenes.{high}", value, f"{low} ({least}) or more", "raise it")
        needed = self.max_side * math.ceil(math.sqrt(self.max_objects))
        rule = f"{needed} or more, so that {self.max_objects} pictures of {self.max_side} px fit"
        require(self.canvas >= needed, "OpenMojiScenes.canvas", self.canvas, rule, "raise it, or lower max_side")
        openmoji.OpenMojiSource(self.size)  # checks the size

    @property
    def layout(self) -> Layout:
        """The splits of the pictures."""
        shares = {"train": self.train_share, "eval": self.eval_share, "test": self.test_share}
        return Layout(shares, 1, self.salt)

    def fingerprint(self) -> str:
        versions = f"{openmoji.OpenMojiSource().fingerprint()} {importlib.metadata.version('pillow')}"
        return hashlib.sha256(versions.encode()).hexdigest()

    def read(self) -> beam.PTransform:
        return _Read(self)

    def pictures_of(self, split_key: str) -> frozenset[str]:
        """The pictures that the rows with this split key show, each by the split key of its single row."""
        if split_key.startswith(_SCENE):
            codes = split_key.removeprefix(_SCENE).rpartition(":")[0].split(_JOINED)
            return frozenset(f"openmoji-{code}" for code in codes)
        return frozenset([split_key])


class _Picture(NamedTuple):
    code: str
    name: str


class _Read(beam.PTransform):
    def __init__(self, source: OpenMojiScenes) -> None:
        super().__init__()
        self._source = source

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        source = self._source
        outcomes = pipeline | "Pictures" >> openmoji.OpenMojiSource(source.size).read()
        rows = outcomes | "Drawn" >> beam.Filter(lambda one: isinstance(one, ImageText))
        by_look = rows | "Look" >> beam.Map(lambda row: (row.reference, row)) | shuffle.GroupByKey()
        grouped = by_look | "Twins" >> beam.FlatMap(_with_group)
        shown = grouped | "OfSplit" >> beam.FlatMap(_shown, source)
        numbers = pipeline | "Numbers" >> beam.Create(range(source.scenes)) | beam.Reshuffle()
        scenes = numbers | "Draw" >> beam.FlatMap(_scene, beam.pvalue.AsList(shown), source)
        if not source.pictures:
            return scenes
        rejected = outcomes | "Rejected" >> beam.Filter(lambda one: isinstance(one, Rejected))
        return (grouped, rejected, scenes) | "All" >> beam.Flatten()


def _with_group(twins: tuple[bytes, Iterable[ImageText]]) -> Iterator[ImageText]:
    """Rows with the same picture; they get the key of the first one as their group."""
    rows = sorted(twins[1], key=lambda row: row.key)
    for row in rows:
        yield dataclasses.replace(row, group=rows[0].key) if len(rows) > 1 else row


def _shown(row: ImageText, source: OpenMojiScenes) -> Iterator[_Picture]:
    """The picture, if scenes may show it: it is in their split, and the first of its group."""
    if row.split_key == row.key and source.layout.split_of(row.key) == source.split:
        yield _Picture(row.key.removeprefix("openmoji-"), row.caption)


def _scene(number: int, shown: list[_Picture], source: OpenMojiScenes) -> Iterator[Outcome]:
    if len(shown) < source.max_objects:
        raise ValueError(
            f"OpenMojiScenes.split is {source.split!r}, which has {len(shown)} pictures, but a scene may show "
            f"{source.max_objects}; raise {source.split}_share"
        )
    draw = random.Random(f"{source.seed}/{source.split}/{number}")
    chosen = draw.sample(sorted(shown), draw.randint(source.min_objects, source.max_objects))
    places = _places(len(chosen), source, draw)
    image, position = _drawn(chosen, places, source.canvas), f"{source.name}:{source.split}:{number}"
    scene = _key([one.code for one in chosen], number, source)
    whole = ImageText(scene, image, " and ".join(one.name for one in chosen), position, source.name, "en", "scene")
    if source.split == "train":
        yield whole
        return
    for place, (one, (top, left, side)) in enumerate(zip(chosen, places, strict=True)):
        box = tuple(value / source.canvas for value in (top, left, top + side, left + side))
        yield dataclasses.replace(whole, key=f"{scene}#{place}", caption=one.name, group=scene, boxes=box)


def _key(codes: list[str], number: int, source: OpenMojiScenes) -> str:
    """A key that lies in the scene's split: the first one, if the number is raised by the number of scenes."""
    while True:
        key = f"{_SCENE}{_JOINED.join(codes)}:{number}"
        if source.layout.split_of(key) == source.split:
            return key
        number += source.scenes


def _places(count: int, source: OpenMojiScenes, draw: random.Random) -> list[Box]:
    """Squares on the canvas without overlap, drawn at random; in cells of a grid if no such draw fits."""
    sides = [draw.randint(source.min_side, source.max_side) for _ in range(count)]
    for _ in range(_ATTEMPTS):
        places = [(draw.randint(0, source.canvas - s), draw.randint(0, source.canvas - s), s) for s in sides]
        if not any(_overlap(one, other) for i, one in enumerate(places) for other in places[:i]):
            return places
    across = math.ceil(math.sqrt(count))
    cell = source.canvas // across
    cells = draw.sample(range(across * across), count)
    return [
        (one // across * cell + draw.randint(0, cell - s), one % across * cell + draw.randint(0, cell - s), s)
        for one, s in zip(cells, sides, strict=True)
    ]


def _overlap(one: Box, other: Box) -> bool:
    return all(one[i] < other[i] + other[2] and other[i] < one[i] + one[2] for i in (0, 1))


def _drawn(chosen: list[_Picture], places: list[Box], canvas: int) -> bytes:
    scene = Image.new("RGB", (canvas, canvas), "white")
    for one, (top, left, side) in zip(chosen, places, strict=True):
        with Image.open(io.BytesIO(openmoji.rasterise(one.code, side))) as picture:
            scene.paste(picture, (left, top), picture.convert("RGBA"))
    encoded = io.BytesIO()
    scene.save(encoded, "PNG")
    return encoded.getvalue()
