"""This project's SavedModel, called in this process: it decodes, resizes and embeds pictures in its graph."""

import os
import pathlib
import sys

import protocol

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).parents[3]))

import tensorflow as tf

from components.serving_clients import LocalClient


def main() -> None:
    work = protocol.arguments()
    pictures = protocol.pictures(work["pictures"], work["rows"])
    client = LocalClient(work["saved_model"])

    def embed() -> None:
        client.predict("embed_image", {"image_bytes": pictures})

    protocol.repeat(embed, work["times"], f"SavedModel on TensorFlow {tf.__version__}", work["rows"])


if __name__ == "__main__":
    main()
