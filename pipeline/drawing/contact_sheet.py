"""A data set at a glance: its counts, and a contact sheet of its first pictures and captions."""

import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from PIL import Image

from beam import reader, writer
from beam.image_codec import on_white
from beam.records import ImageText
from beam.store import MANIFEST_FILE
from models import files
from pipeline.drawing import captions

SHEET_FILE = "contact_sheet.png"
_COLUMNS, _SIDE, _GAP = 8, 160, 8


def run(folder: str, pictures: int, verify: bool = False) -> str:
    """Draws the contact sheet; returns the text to print.

    Raises:
      ValueError: the folder holds no data set, or a shard does not have the checksum of the manifest.
    """
    path = os.path.join(folder, MANIFEST_FILE)
    if not tf.io.gfile.exists(path):
        parts = sorted(tf.io.gfile.glob(os.path.join(folder, "*", MANIFEST_FILE)))
        others = f" such as {os.path.dirname(parts[0])}" if parts else ""
        raise ValueError(
            f"{folder} has no {MANIFEST_FILE}; name a folder that python -m pipeline.build has written{others}"
        )
    with tf.io.gfile.GFile(path) as file:
        manifest = json.load(file)
    sheet = os.path.join(folder, SHEET_FILE)
    try:
        if verify:
            _verify(folder, manifest)
        rows = list(_some_rows(folder, manifest, pictures))
    except tf.errors.OpError as error:
        raise ValueError(
            f"{folder}: a shard is missing or damaged ({error.message}); build the data set again"
        ) from error
    drawn = _contact_sheet(rows)
    with files.WholeFile(sheet) as unfinished, tf.io.gfile.GFile(unfinished, "wb") as file:
        drawn.save(file, "PNG")
    checked = "every shard has its checksum; " if verify else ""
    lines = [*_table(manifest), f"Inspected {folder}: {checked}pictures and captions are in {sheet}"]
    return "\n".join(lines + captions.notes([row.caption for row in rows]))


def _table(manifest: dict[str, Any]) -> Iterator[str]:
    yield f"{manifest['read']:>12,}  rows read"
    for reason, rows in sorted(manifest["dropped"].items(), key=lambda item: -item[1]):
        yield f"{-rows:>12,}  {reason}"
    for reason, parts in manifest.get("skipped", {}).items():
        yield f"{-parts:>12,}  {reason} (no rows, skipped)"
    yield f"{manifest['written']:>12,}  rows written"
    for reason, removed in manifest["captions_removed"].items():
        yield f"{-removed:>12,}  captions of rows that have others: {reason}"
    for split, rows in manifest["splits"].items():
        shards = [shard for shard in manifest["shards"] if shard["split"] == split]
        size = sum(shard["bytes"] for shard in shards)
        yield f"{rows:>12,}  {split}: {len(shards)} shards, {size / 1e6:,.1f} MB"


def _verify(folder: str, manifest: dict[str, Any]) -> None:
    for shard in manifest["shards"]:
        path = os.path.join(folder, shard["file"])
        found, _ = writer.checksum(path)
        if found != shard["sha256"]:
            raise ValueError(f"{path} has the checksum {found}, not {shard['sha256']}; build the data set again")


def _some_rows(folder: str, manifest: dict[str, Any], count: int) -> Iterator[ImageText]:
    """The first rows of the shards, which are a random sample: rows lie in the order of a hash."""
    paths = (os.path.join(folder, shard["file"]) for shard in manifest["shards"])
    return itertools.islice(itertools.chain.from_iterable(map(reader.read_shard, paths)), count)


def _contact_sheet(rows: list[ImageText]) -> Image.Image:
    width, height = _SIDE + _GAP, _SIDE + captions.HEIGHT + _GAP
    lines = max(-(-len(rows) // _COLUMNS), 1)
    sheet = Image.new("RGB", (_COLUMNS * width + _GAP, lines * height + _GAP), "white")
    for number, row in enumerate(rows):
        left, top = _GAP + number % _COLUMNS * width, _GAP + number // _COLUMNS * height
        picture = on_white(row.image)
        picture.thumbnail((_SIDE, _SIDE))
        sheet.paste(picture, (left + (_SIDE - picture.width) // 2, top + (_SIDE - picture.height) // 2))
        sheet.paste(captions.draw(row.caption, _SIDE), (left, top + _SIDE))
    return sheet
