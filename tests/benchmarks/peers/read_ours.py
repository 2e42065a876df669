"""This project's training batches: reads a TFRecord, shuffles, decodes, resizes and tokenises."""

import os
import pathlib
import sys

import protocol

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).parents[3]))

import tensorflow as tf

from models import settings
from models.inputs.batches import Batches
from models.inputs.tokenizer import Tokenizer


def main() -> None:
    work = protocol.arguments()
    objective = settings.SiglipSettings(
        settings.ImageTowerSettings(size=work["side"]), settings.TextTowerSettings(length=work["length"])
    )
    config = settings.TrainingSettings(objective=objective, batch_size=work["batch_size"])
    batches = Batches(work["shards"], Tokenizer(work["vocabulary"], objective.text_input), config)
    rows = iter(batches.read(work["batch_size"]))

    def read() -> None:
        for _ in range(work["rows"] // work["batch_size"]):
            next(rows)["images"].numpy()

    protocol.repeat(read, work["times"], f"tf.data of TensorFlow {tf.__version__}", work["rows"])


if __name__ == "__main__":
    main()
