"""A small training run on drawn shapes, for tests; it is also a script, so that a test can kill its process.

python -m tests.models.training.shapes FOLDER [NAME=VALUE of settings.TrainingSettings ...]

The value of `objective` is a name in OBJECTIVES.
"""

import ast
import contextlib
import dataclasses
import json
import math
import os
import pathlib
import sys
from collections.abc import Iterator
from unittest import mock

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

import models.training.fit
from beam.records import ImageText
from models import settings
from models.inputs.tokenizer import Tokenizer
from models.layers import visual_codes
from models.objectives import Objective
from models.training.recorder import RunRecorder
from tests.devices import make_devices
from tests.pictures import shape_pairs
from tests.tiny_model import OBJECTIVE

CONFIG = settings.TrainingSettings(
    objective=OBJECTIVE,
    optimizer=settings.AdamWSettings(learning_rate=3e-3),
    schedule=settings.ScheduleSettings(warmup_steps=5),
    augmentation=settings.AugmentationSettings(0.9, 1.1),
    checkpoint=settings.CheckpointSettings(every=10, keep=2),
    logging=settings.LoggingSettings(every=10, held_out_every=20, held_out_rows=40),
    steps=30,
    batch_size=48,
    shuffle_buffer=100,
)
ROCKET = settings.ClipRocketSettings(
    OBJECTIVE.image_tower,
    dataclasses.replace(OBJECTIVE.text_tower, dropout=0.1),
    terms=(settings.ByolipSettings(projector=(24, 16), predictor=(24, 16), momentum=0.9),),
    local_images=settings.AugmentationSettings(
        min_area=0.3, source_size=32, jitter_probability=0.8, grey_probability=0.2, blur_probability=0.5
    ),
    local_texts=settings.TextAugmentationSettings(0.8, {"swap": 2.0, "delete": 1.0}, dropout=True),
    projection_dim=16,
    local_hidden=24,
)
ONER = settings.OnerSettings(
    settings.OneTowerSettings(32, 2, 2, 64, size=24, patch=8, length=12, projection_dim=16),
    cic=1.0,
    predictor=True,
    predictor_hidden=24,
)
SIMLA = settings.SimlaSettings(
    dataclasses.replace(OBJECTIVE.image_tower, pooling="cls"),
    OBJECTIVE.text_tower,
    projection_dim=16,
    momentum=0.9,
    queue_size=96,
    alpha_steps=20,
    visual_codebook=settings.VisualCodebookSettings(codes=20),
)
OBJECTIVES = {"siglip": OBJECTIVE, "rocket": ROCKET, "oner": ONER, "simla": SIMLA}
EXAMPLES = [
    ImageText(f"key-{i}", image, caption, "x:1", "test", class_name=colour).to_example()
    for i, (image, caption, colour) in enumerate(shape_pairs())
]


def write_shards(folder: pathlib.Path, count: int, examples: list[bytes] = EXAMPLES) -> list[str]:
    """Distributes the rows over `count` gzipped shards."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(folder / f"rows-{number:05d}.gz") for number in range(count)]
    for number, path in enumerate(paths):
        with tf.io.TFRecordWriter(path, "GZIP") as writer:
            for example in examples[number::count]:
                writer.write(example)
    return paths


def fit(vocabulary: str, paths: list[str], folder: pathlib.Path, config: settings.TrainingSettings) -> Objective:
    """Trains in `folder`, which gets the log and the checkpoints; the held-out rows are the training rows."""
    log, checkpoints = str(folder / "log"), str(folder / "checkpoints")
    codes = write_codebook(folder) if settings.visual_codes(config.objective) else ""
    objective, _, _ = models.training.fit.fit(config, vocabulary, paths, paths, log, checkpoints, codes)
    return objective


def margin(objective: Objective, tokenizer: Tokenizer) -> float:
    """The mean logit of the positive pairs of the shapes, 24 px a side, less that of the negative pairs."""
    pictures = tf.stack([tf.io.decode_png(image) for image, _, _ in shape_pairs()])
    pixels = tf.image.resize(tf.cast(pictures, tf.float32), [24, 24]) / 127.5 - 1
    captions = tokenizer(tf.constant([caption for _, caption, _ in shape_pairs()]))
    logits = objective.logits(objective.embed_image(pixels), objective.embed_text(captions)).numpy()
    right = np.eye(len(logits), dtype=bool)
    return float(logits[right].mean() - logits[~right].mean())


def codebook() -> visual_codes.Codebook:
    """Drawn visual codes of SIMLA's patches."""
    patch = SIMLA.image_tower.patch
    centres = np.random.default_rng(0).normal(size=(20, 3 * patch * patch + 1)).astype(np.float32)
    return visual_codes.Codebook(centres, np.ones(20, np.float32), patch)


def write_codebook(folder: pathlib.Path) -> str:
    """The path of a file with these codes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / visual_codes.CODEBOOK_FILE
    path.write_bytes(visual_codes.as_bytes(codebook()))
    return str(path)


@contextlib.contextmanager
def interrupted(step: int) -> Iterator[None]:
    """Within this context, a run is expected to end with KeyboardInterrupt where it records `step`."""
    usual = RunRecorder.record

    def record(self: RunRecorder, done: int, *arguments: object) -> object:
        if done == step:
            raise KeyboardInterrupt
        return usual(self, done, *arguments)

    with mock.patch.object(RunRecorder, "record", record), pytest.raises(KeyboardInterrupt):
        yield


def weights(objective: Objective) -> dict[str, np.ndarray]:
    """Everything that training changes."""
    return {variable.name: variable.numpy() for variable in (*objective.trainable_variables, *objective.state)}


def momenta(log: pathlib.Path, first: float, steps: int) -> tuple[list[float], list[float]]:
    """The momentum of each row of a log, and what half a cosine from `first` to 1 over `steps` gives for it."""
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    expected = [1 - (1 - first) * (1 + math.cos(math.pi * row["step"] / steps)) / 2 for row in rows]
    return [row["momentum"] for row in rows], expected


def main(folder: pathlib.Path, *changes: str) -> None:
    """Trains on vocabulary.model and the shards in `folder`, and writes weights.npz there at the end."""
    values = {name: ast.literal_eval(value) for name, value in (change.split("=", 1) for change in changes)}
    fields = {name: value for name, value in values.items() if "." not in name}
    if "objective" in fields:
        fields["objective"] = OBJECTIVES[fields["objective"]]
    for name, value in values.items():
        if "." in name:
            group, field = name.split(".")
            fields[group] = dataclasses.replace(fields.get(group, getattr(CONFIG, group)), **{field: value})
    config = dataclasses.replace(CONFIG, **fields)
    shards = sorted(str(path) for path in folder.glob("rows-*.gz"))
    devices = config.runtime.devices
    if devices:
        make_devices(len(devices))
    objective = fit(str(folder / "vocabulary.model"), shards, folder, config)
    unfinished = folder / "unfinished.npz"
    np.savez(unfinished, **weights(objective))
    unfinished.rename(folder / "weights.npz")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), *sys.argv[2:])
