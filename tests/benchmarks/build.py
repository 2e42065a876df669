"""The build on one core, compared with a loop that only decodes with Pillow and writes the same TFRecords."""

import io
import os
import pathlib
import sys
import tarfile
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image

from tests.benchmarks.measure import Ratio, ratio

_ROWS, _PICTURES, _SIDE = 16000, 500, 256  # many rows, so that the pipeline's start of 2 s hardly counts


def photos(count: int, side: int) -> list[bytes]:
    """Smooth noise in JPEG, as large as photos: 30 kB each at 256 pixels."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (side // 8, side // 8, 3), np.uint8)).resize((side, side))
        noisy = np.asarray(coarse) + rng.normal(0, 8, (side, side, 3))
        stream = io.BytesIO()
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
        found.append(stream.getvalue())
    return found


def write_tar(path: pathlib.Path, rows: int, side: int, first: int = 0, different: int = _PICTURES) -> None:
    """Writes a WebDataset of `rows` photos with distinct captions; its rows are numbered from `first` on."""
    pictures = photos(different, side)
    with tarfile.open(path, "w") as tar:
        for number in range(first, first + rows):
            image = pictures[number % different]
            for name, content in ((f"{number}.jpg", image), (f"{number}.txt", b"picture %d" % number)):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def _bare_loop(tar_path: pathlib.Path, target: pathlib.Path) -> None:
    import tensorflow as tf

    from beam.records import ImageText

    with tarfile.open(tar_path) as tar, tf.io.TFRecordWriter(str(target)) as writer:
        for member in tar:
            if member.name.endswith(".jpg"):
                image = tar.extractfile(member).read()
                Image.open(io.BytesIO(image)).load()
                writer.write(ImageText(member.name, image, "picture", "", "").to_example())


def build(tar_path: pathlib.Path, target: pathlib.Path, *flags: str) -> None:
    """Builds shards from tar files, as `python -m pipeline.build` does; `flags` are Beam's."""
    import apache_beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from beam.build import Build, ImageTextGenSettings
    from beam.sources.webdataset.source import WebDatasetSource

    settings = ImageTextGenSettings(WebDatasetSource(str(tar_path)), shards=1, salt="bench", compression="")
    with apache_beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner", *flags])) as pipeline:
        pipeline | Build(settings, str(target), str(target))


def run(rounds: int = 5) -> tuple[str, Ratio]:
    """A line with rows per second, and the ratio of times. Both run on one core, in this process."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            write_tar(folder / "a.tar", _ROWS, _SIDE)
            times: list[float] = []

            def ours() -> None:
                start = time.perf_counter()
                build(folder / "a.tar", folder / "built")
                times.append(time.perf_counter() - start)

            found = ratio(
                "build / bare Pillow decode and TFRecord loop, one core",
                ours,
                lambda: _bare_loop(folder / "a.tar", folder / "bare.tfrecord"),
                rounds,
                limit=1 / 0.6,
            )
    finally:
        os.sched_setaffinity(0, cores)
    rate = _ROWS / sorted(times)[len(times) // 2]
    return f"build: {rate:,.0f} rows/s on one core ({_SIDE} px JPEG)", found


if __name__ == "__main__":
    print(*run(int(sys.argv[1]) if len(sys.argv) > 1 else 5), sep="\n")
