"""Evaluation sets as their authors distribute them -> rows of JSON Lines beside the pictures."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from models import files
from pipeline.evaluation.imagenet_names import CLASSES_FILE, IMAGENET

ROWS_FILE = "rows.jsonl"
Rows = Iterator[dict[str, Any]]
XM3600 = """\
  captions.jsonl      one line a picture (captions.zip of https://google.github.io/crossmodal-3600)
  images/KEY.jpg      3,600 pictures (images.tgz of the same page)"""
FLICKR30K = """\
  dataset_flickr30k.json          Karpathy's splits (caption_datasets.zip of cs.stanford.edu/people/karpathy)
  flickr30k-images/NAME.jpg       the pictures (https://shannon.cs.illinois.edu/DenotationGraph)"""
OBJECTNET = """\
  images/FOLDER/NAME.png                      the pictures (objectnet-1.0.zip of https://objectnet.dev)
  mappings/folder_to_objectnet_label.json     from the same archive, as are the next three
  mappings/objectnet_to_imagenet_1k.json
  mappings/imagenet_to_label_2012_v2
  mappings/pytorch_to_imagenet_2012_id.json"""


def xm3600(folder: str) -> Rows:
    """One row for each picture and language, with all captions in the language. The rows of a picture are a group."""
    # Captions may have other line ends.
    for number, line in enumerate(_read(folder, "captions.jsonl", XM3600).strip("\n").split("\n"), start=1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise _Unusable(f"{folder}/captions.jsonl, line {number}: not JSON ({error}); download it again") from error
        key = record["image/key"]
        image = _picture(folder, f"images/{key}.jpg", XM3600)
        for language in sorted(record):
            if isinstance(record[language], dict) and record[language].get("caption"):
                yield {
                    "image": image,
                    "captions": record[language]["caption"],
                    "language": language,
                    "key": f"{key}-{language}",
                    "group": key,
                }


def flickr30k(folder: str) -> Rows:
    """One row for each picture of Karpathy's test split, with its five captions."""
    for record in json.loads(_read(folder, "dataset_flickr30k.json", FLICKR30K))["images"]:
        if record["split"] == "test":
            image = _picture(folder, f"flickr30k-images/{record['filename']}", FLICKR30K)
            captions = [sentence["raw"] for sentence in record["sentences"]]
            yield {"image": image, "captions": captions, "language": "en", "key": record["filename"]}


def objectnet(folder: str) -> Rows:
    """One row for each picture of the labels that ImageNet has, too.

    `class_names` are the numbers of all of ImageNet's classes that the label covers, as in the ObjectNet paper (Barbu
    et al., 2019): an answer is right if it is one of them. Some labels cover several classes.
    """
    label_of = json.loads(_read(folder, "mappings/folder_to_objectnet_label.json", OBJECTNET))
    classes_of = json.loads(_read(folder, "mappings/objectnet_to_imagenet_1k.json", OBJECTNET))
    lines = _read(folder, "mappings/imagenet_to_label_2012_v2", OBJECTNET).splitlines()
    place = {line.strip(): number for number, line in enumerate(lines)}
    ids = json.loads(_read(folder, "mappings/pytorch_to_imagenet_2012_id.json", OBJECTNET))
    first = min(map(int, ids.values()), default=0)  # of the ids, which count the lines of imagenet_to_label_2012_v2
    number_of = {int(one) - first: int(number) for number, one in ids.items()}
    for name, label in sorted(label_of.items()):
        if label not in classes_of:
            continue  # ImageNet has no such class
        asked = classes_of[label].split("; ")
        if strange := [one for one in asked if place.get(one, -1) not in number_of]:
            raise _Unusable(
                f"{folder}/mappings: the label {label!r} covers {strange[0]!r}, but imagenet_to_label_2012_v2 and "
                "pytorch_to_imagenet_2012_id.json have no such class; take all mappings from one archive"
            )
        numbers = sorted(number_of[place[one]] for one in asked)
        pictures = os.path.join(folder, "images", name)
        if not os.path.isdir(pictures):
            raise _absent(folder, f"images/{name}", OBJECTNET)
        for picture in sorted(one for one in os.listdir(pictures) if one.endswith(".png")):
            image = f"images/{name}/{picture}"
            yield {"image": image, "caption": label, "class_names": numbers, "category": label, "key": image}


@dataclasses.dataclass(frozen=True)
class Layout:
    """A set as its authors distribute it: how its folder looks, and how rows are made of the folder."""

    folder: str
    rows: Callable[[str], Rows]


LAYOUTS = {
    "flickr30k": Layout(FLICKR30K, flickr30k),
    "objectnet": Layout(OBJECTNET, objectnet),
    "xm3600": Layout(XM3600, xm3600),
}


def write(name: str, folder: str) -> str:
    """Writes ROWS_FILE into the folder, whole or not at all; returns a line that says what it holds.

    Args:
      name: one of LAYOUTS.
      folder: has the layout that the set's authors distribute.

    Raises:
      ValueError: a file is missing, damaged, or of another form.
    """
    count, path = 0, os.path.join(folder, ROWS_FILE)
    if not os.path.isdir(folder):
        next(LAYOUTS[name].rows(folder), None)  # raises, and says which layout is wanted
    try:
        with files.WholeFile(path) as unfinished, open(unfinished, "w", encoding="utf-8") as file:
            for row in LAYOUTS[name].rows(folder):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
            if not count:
                raise _Unusable(f"{folder} has no picture of {name}; download it again")
    except _Unusable:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, OSError) as error:
        raise ValueError(
            f"{folder} is not {name} as its authors distribute it ({type(error).__name__}: {error}); download it again"
        ) from error
    return f"{path}: {count:,} rows. Next: python -m pipeline.evaluate --gin_file=gin/evaluation/{name}.gin"


def require_prepared(path: str) -> None:
    """Raises ValueError if pipeline.evaluation_files makes the file of this path, and has not; it says how."""
    folder, name = os.path.split(path)
    known = os.path.basename(folder)
    if tf.io.gfile.exists(path):
        return
    if (known, name) == (IMAGENET, CLASSES_FILE):
        raise ValueError(
            f"{path} does not exist. `python -m pipeline.evaluation_files {known} --folder={folder}` fetches the class "
            "names of ImageNet"
        )
    if name != ROWS_FILE or known not in LAYOUTS:
        return
    raise ValueError(
        f"{path} does not exist. Download {known} into {folder}, with the layout below, and run "
        f"`python -m pipeline.evaluation_files {known} --folder={folder}`\n{LAYOUTS[known].folder}"
    )


def _read(folder: str, name: str, layout: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise _absent(folder, name, layout) from error


def _picture(folder: str, name: str, layout: str) -> str:
    if not os.path.isfile(os.path.join(folder, name)):
        raise _absent(folder, name, layout)
    return name


class _Unusable(ValueError):
    """The folder cannot be used; the message says why and what to do."""


def _absent(folder: str, name: str, layout: str) -> ValueError:
    return _Unusable(f"{folder} has no {name}; name a folder with this layout:\n{layout}")
