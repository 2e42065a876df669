"""This project's build: reads a tar, decodes each picture to check it, and writes it unchanged in a TFRecord."""

import os
import pathlib
import sys

import protocol

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).parents[3]))

import tensorflow as tf

from tests.benchmarks.build import build


def main() -> None:
    work = protocol.arguments()
    tar, folder = pathlib.Path(work["tar"]), pathlib.Path(work["folder"]) / "ours"
    protocol.repeat(lambda: build(tar, folder), work["times"], f"Beam and TensorFlow {tf.__version__}", work["rows"])


if __name__ == "__main__":
    main()
