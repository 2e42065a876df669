"""img2dataset's loop without its downloads: decodes each picture of a tar, resizes, encodes and writes it to a tar."""

import os

import protocol

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask the network for a newer version

import importlib.metadata
import io
import pathlib
import tarfile

import cv2
import pyarrow
from img2dataset.resizer import Resizer
from img2dataset.writer import WebDatasetSampleWriter

_SIDE = 224
_COLUMNS = ("key", "caption", "width", "height")


def main() -> None:
    work = protocol.arguments()
    cv2.setNumThreads(1)
    folder = pathlib.Path(work["folder"]) / "img2dataset"
    folder.mkdir(parents=True, exist_ok=True)
    software = f"img2dataset {importlib.metadata.version('img2dataset')}"
    protocol.repeat(lambda: _build(work["tar"], str(folder)), work["times"], software, work["rows"])


def _build(tar_path: str, folder: str) -> None:
    resize = Resizer(_SIDE, "border", resize_only_if_bigger=False)
    schema = pyarrow.schema([(name, pyarrow.string()) for name in _COLUMNS])
    writer = WebDatasetSampleWriter(0, folder, True, 5, schema, "jpg")
    with tarfile.open(tar_path) as tar:
        pairs = iter(tar)
        for picture, caption in zip(pairs, pairs, strict=True):
            encoded, width, height, _, _, error = resize(io.BytesIO(tar.extractfile(picture).read()))
            if error:
                raise ValueError(f"{picture.name}: {error}")
            text = tar.extractfile(caption).read().decode()
            key = picture.name.removesuffix(".jpg")
            row = dict(zip(_COLUMNS, (key, text, str(width), str(height)), strict=True))
            writer.write(encoded, key, text, row)
    writer.close()


if __name__ == "__main__":
    main()
