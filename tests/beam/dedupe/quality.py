"""Precision and recall of near-duplicates on OpenMoji and generated transforms; baselines: ImageHash and imagededup.

python -m tests.beam.dedupe.quality [PYTHON with imagededup]

A pair is true if both pictures come from one source picture, or from sources with the same pixels. Every detector gets
the same files and returns the pairs whose hashes differ in at most a given number of bits.
"""

import functools
import io
import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable

import imagehash
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from beam import image_codec
from beam.dedupe import DeduperSettings, fingerprints, hamming
from beam.records import ImageText
from beam.sources import openmoji
from tests.beam.dedupe.in_memory import near_edges

Detector = Callable[[int], set[tuple[int, int]]]
"""Number of bits that may differ -> pairs of indices."""
DISTANCES = (2, 4, 6, 8, 10)
_SIZE, _EVERY = 144, 12


def _jpeg(picture: Image.Image, quality: int) -> Image.Image:
    encoded = io.BytesIO()
    picture.save(encoded, format="JPEG", quality=quality)
    return Image.open(encoded).convert("RGB")


def _watermark(picture: Image.Image) -> Image.Image:
    marked = picture.copy()
    ImageDraw.Draw(marked).text((_SIZE // 3, _SIZE - 24), "(c) nobody", fill=(90, 90, 90))
    return marked


TRANSFORMS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 30": lambda picture: _jpeg(picture, 30),
    "half the size": lambda picture: picture.resize((_SIZE // 2, _SIZE // 2), Image.Resampling.BILINEAR),
    "crop of 3%": lambda picture: ImageOps.crop(picture, 4),
    "border of 3%": lambda picture: ImageOps.expand(picture, 4, "black"),
    "border of 5%, then JPEG": lambda picture: _jpeg(ImageOps.expand(picture, 7, "black"), 60),
    "watermark": _watermark,
    "colours": lambda picture: ImageEnhance.Color(ImageEnhance.Brightness(picture).enhance(0.85)).enhance(0.6),
    "flip": ImageOps.mirror,
}
# A Python with imagededup runs this. Only its CNN needs torch, but importing any part of imagededup imports torch.
_IMAGEDEDUP = """
import importlib.abc, importlib.machinery, json, pathlib, sys
from unittest import mock
class Stub(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
    def create_module(self, spec):
        module = mock.MagicMock(); module.__path__ = []; module.__spec__ = spec
        return module
    def exec_module(self, module):
        pass
sys.meta_path.insert(0, Stub())
from imagededup.methods import PHash
hasher = PHash(verbose=False)
print(json.dumps([hasher.encode_image(image_file=str(path)) for path in sorted(pathlib.Path(sys.argv[1]).iterdir())]))
"""


def corpus() -> tuple[list[Image.Image], list[int], list[str]]:
    """Returns pictures, the number of each one's source (equal for equal pixels), and the name of its transform."""
    images, sources, names = [], [], []
    numbers: dict[bytes, int] = {}
    codes = sorted(openmoji._pictures())[::_EVERY]
    rows = [row for code in codes for row in openmoji._rasterise(code, _SIZE, ("en",)) if isinstance(row, ImageText)]
    for row in rows:
        picture = image_codec.on_white(row.image)
        number = numbers.setdefault(picture.tobytes(), len(numbers))
        for name, transform in {"original": lambda same: same, **TRANSFORMS}.items():
            images.append(transform(picture))
            sources.append(number)
            names.append(name)
    return images, sources, names


def banded_pairs(values: np.ndarray, colours: list[bytes], distance: int, tolerance: int) -> set[tuple[int, int]]:
    """Pairs that `beam.dedupe` finds by bands."""
    edges = near_edges(values, colours, distance, colour_tolerance=tolerance, max_bucket=len(values))
    return {(min(edge), max(edge)) for edge in edges.tolist()}


def true_pairs(sources: list[int], kept: list[bool]) -> set[tuple[int, int]]:
    """Pairs of kept pictures that have the same source."""
    of, counted = np.array(sources), np.array(kept)
    one, other = np.triu_indices(len(of), 1)
    same = (of[one] == of[other]) & counted[one] & counted[other]
    return set(zip(one[same].tolist(), other[same].tolist(), strict=True))


def all_pairs(values: np.ndarray, distance: int) -> set[tuple[int, int]]:
    """Pairs that brute force finds: it compares all pictures with all."""
    one, other = np.triu_indices(len(values), 1)
    near = hamming.differing_bits(values[one], values[other]) <= distance
    return set(zip(one[near].tolist(), other[near].tolist(), strict=True))


def score(pairs: set[tuple[int, int]], true: set[tuple[int, int]]) -> tuple[float, float]:
    """(precision, recall)."""
    right = len(pairs & true)
    return right / len(pairs) if pairs else 1.0, right / len(true)


def deduper(images: list[Image.Image], settings: DeduperSettings) -> Detector:
    """The Deduper's detector: by bands, it compares every look of one picture with every look of another."""
    seen = [(look, number) for number, image in enumerate(images) for look in fingerprints.looks(image, settings)]
    values = np.array([int.from_bytes(value, "big") for (value, _), _ in seen], np.uint64)
    colours, of = [colour for (_, colour), _ in seen], np.array([number for _, number in seen])

    def pairs(distance: int) -> set[tuple[int, int]]:
        named = banded_pairs(values, colours, distance, settings.colour_tolerance)
        edges = of[np.array(sorted(named))]
        return {(min(edge), max(edge)) for edge in edges.tolist() if edge[0] != edge[1]}

    return pairs


def detectors(images: list[Image.Image], imagededup_python: str = "") -> dict[str, Detector]:
    """{name: detector}: the Deduper with default settings, and baselines that compare all with all."""
    hashes = {"ImageHash": [int(str(imagehash.phash(image)), 16) for image in images]}
    if imagededup_python:
        with tempfile.TemporaryDirectory() as folder:
            for number, image in enumerate(images):
                image.save(pathlib.Path(folder) / f"{number:06}.png")
            command = [imagededup_python, "-c", _IMAGEDEDUP, folder]
            answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        hashes["imagededup"] = [int(text, 16) for text in json.loads(answer.splitlines()[-1])]
    others = {name: functools.partial(all_pairs, np.array(values, np.uint64)) for name, values in hashes.items()}
    return {
        "Deduper": deduper(images, DeduperSettings()),
        "without borders": deduper(images, DeduperSettings(borders=False)),
        **others,
    }


def main(imagededup_python: str = "") -> None:
    images, sources, names = corpus()
    kept = [name != "flip" for name in names]
    true = true_pairs(sources, kept)
    found_by = detectors(images, imagededup_python)
    print(f"{len(images)} pictures, {len(true)} true pairs; precision / recall")
    print(f"{'distance':<10}" + "".join(f"{name:>20}" for name in found_by))
    found = {name: {distance: detect(distance) for distance in DISTANCES} for name, detect in found_by.items()}
    for distance in DISTANCES:
        cells = []
        for pairs in found.values():
            precision, recall = score({p for p in pairs[distance] if kept[p[0]] and kept[p[1]]}, true)
            cells.append(f"{precision:.4f} / {recall:.4f}")
        print(f"{distance:<10}" + "".join(f"{cell:>20}" for cell in cells))
    print("\nrecall by transform, original against it, distance 4")
    for name in TRANSFORMS:
        at = [number for number, what in enumerate(names) if what == name]
        of_original = {(number - number % (len(TRANSFORMS) + 1), number) for number in at}
        shares = [len(pairs[4] & of_original) / len(of_original) for pairs in found.values()]
        print(f"  {name:<24}" + "".join(f"{share:>12.3f}" for share in shares))


if __name__ == "__main__":
    main(*sys.argv[1:])
