"""The data plane: build against a bare loop of Pillow and TFRecord, and near duplicates at ten times the rows."""

import base64
import functools
import io
import json
import pathlib
import tempfile
from collections.abc import Callable

import apache_beam
import numpy as np
import tensorflow as tf
from PIL import Image

from beam import build, writer
from beam.dedupe import hamming
from beam.records import ImageText
from beam.sources.jsonl import JsonlSource
from tests.benchmarks.measure import Ratio, ratio

_ROWS = 5000
_LAYOUT = writer.Layout({"train": 8, "eval": 1, "test": 1}, 4, "bench")


def run(rounds: int) -> list[Ratio]:
    """The ratios; those with a limit are the project's claims."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        pairs = _write_pairs(pathlib.Path(folder))
        ours, bare = functools.partial(_build, folder), functools.partial(_bare_loop, folder, pairs)
        # 0.6 of the loop's rows a second is 1 / 0.6 of its time.
        found.append(ratio("build / Pillow decode and TFRecord write", ours, bare, min(rounds, 5), limit=1 / 0.6))
    for rows in (10_000, 100_000):
        many, few = _near(10 * rows), _tenfold(_near(rows))
        name = f"near duplicates among {10 * rows:,} hashes / 10 x {rows:,}"
        found.append(ratio(name, many, few, min(rounds, 3 if rows > 10_000 else rounds), limit=1.5))
    return found


def _write_pairs(folder: pathlib.Path) -> list[tuple[bytes, str]]:
    draw = np.random.default_rng(0)
    pairs = []
    for number in range(_ROWS):
        small = Image.fromarray(draw.integers(0, 256, (16, 16, 3)).astype(np.uint8))
        encoded = io.BytesIO()
        small.resize((256, 256), Image.Resampling.BICUBIC).save(encoded, format="JPEG", quality=90)
        pairs.append((encoded.getvalue(), f"picture number {number}"))
    lines = [json.dumps({"image_base64": base64.b64encode(image).decode(), "caption": text}) for image, text in pairs]
    (folder / "pairs.jsonl").write_text("\n".join(lines))
    return pairs


def _build(folder: str) -> None:
    source = JsonlSource(f"{folder}/pairs.jsonl")
    with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
        pipeline | build.Build(source, build.BuildOptions(_LAYOUT), f"{folder}/ours", f"{folder}/report")


def _bare_loop(folder: str, pairs: list[tuple[bytes, str]]) -> None:
    with tf.io.TFRecordWriter(f"{folder}/bare.gz", "GZIP") as file:
        for image, caption in pairs:
            Image.open(io.BytesIO(image)).load()
            file.write(ImageText(caption, image, caption, "x:1", "bare").to_example())


def _near(rows: int) -> Callable[[], int]:
    """Finds the near pairs among random hashes, one in ten of which has a near one."""
    draw = np.random.default_rng(rows)
    values = draw.integers(0, 2**64, rows, dtype=np.uint64)
    flipped = np.uint64(1) << draw.integers(0, 64, rows // 10).astype(np.uint64)
    values[: rows // 10] = values[-(rows // 10) :] ^ flipped
    batch = [(int(value).to_bytes(8, "big"), number, b"") for number, value in enumerate(values)]
    masks = hamming.masks(4, 2)

    def find() -> int:
        compare = hamming._Compare(masks, 4, 255, 4096)
        groups: dict[tuple[int, int], list[hamming.Hashes]] = {}
        for start in range(0, rows, 20_000):
            for key, hashes in hamming._partition(batch[start : start + 20_000], masks):
                groups.setdefault(key, []).append(hashes)
        return sum(len(edges) for group in groups.items() for edges in compare.process(group))

    assert find() >= rows // 10
    return find


def _tenfold(work: Callable[[], int]) -> Callable[[], None]:
    def repeat() -> None:
        for _ in range(10):
            work()

    return repeat
