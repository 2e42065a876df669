"""Where an Oner points in scenes, beside an untrained tower and the same model asked with other captions.

python -m tests.benchmarks.pointing MODEL SPLIT [SEED]    a SavedModel, and the folder of the shards of its scenes

It prints `pointing_accuracy` and `pointing_among_objects` with their intervals of 90 % and their chances, for:

model: the model.
untrained: the same settings and vocabulary, with the weights that SEED (0) draws.
captions exchanged: the model, asked in each row for the caption of another row, drawn over all rows. This is a cheap
  STAND-IN for a model that was trained on exchanged captions; it trains nothing. It shows what the model's pointing
  owes to the words of this row. It does not show what training on wrong captions would teach.
"""

import dataclasses
import sys
from collections.abc import Sequence

import numpy as np
import tf_keras as keras

from beam.exported_model import ExportedModel
from beam.records import ImageText
from components.metrics.saved_model_metrics import Signatures
from models import objectives
from models.evaluation import metrics, pointing
from models.evaluation.collector import Collector
from models.inputs import tfrecords
from models.pretrained import saved_model
from models.serving.export import ServedModel

_BATCH = 64
_SCENES = frozenset({"scenes"})


def measure(path: str, split: str, seed: int = 0) -> str:
    """The table, in lines."""
    rows = list(tfrecords.read_shards([f"{split}/*"]).as_numpy_iterator())
    if not any(ImageText.from_example(one, split).boxes for one in rows):
        raise ValueError(f"{split} has {len(rows)} rows, but none with boxes; name the folder of a split of scenes")
    drawn = figures(untrained(path, seed), rows)  # first: a new seed removes the vocabularies that TensorFlow holds
    model = ExportedModel(path, required=("localize",))
    found = {
        "model": figures(model, rows),
        f"untrained, seed {seed}": drawn,
        "captions exchanged": figures(model, with_captions_exchanged(rows, seed)),
    }
    lines = [f"{'':<22}" + "".join(f"{name:>26}{'chance':>9}" for name in pointing.NAMES)]
    return "\n".join([f"{len(rows)} rows of {split}", *lines, *(f"{of:<22}{_cells(one)}" for of, one in found.items())])


def untrained(path: str, seed: int) -> ServedModel:
    """A model with the settings and the vocabulary of a SavedModel, and drawn weights."""
    keras.utils.set_random_seed(seed)
    trained, tokenizer, _ = saved_model.rebuild(path)
    return ServedModel(objectives.create(trained.config, tokenizer.vocabulary_size), tokenizer, {}, "float32")


def with_captions_exchanged(rows: Sequence[bytes], seed: int) -> list[bytes]:
    """Serialised rows -> the same rows with each other's captions, in a drawn order; boxes and pictures stay."""
    examples = [ImageText.from_example(one, f"row {number}") for number, one in enumerate(rows)]
    order = np.random.default_rng(seed).permutation(len(examples))
    return [
        dataclasses.replace(one, caption=examples[other].caption).to_example()
        for one, other in zip(examples, order, strict=True)
    ]


def figures(model: Signatures, rows: Sequence[bytes]) -> dict[str, float]:
    """All metrics of serialised rows."""
    collector = Collector()
    for start in range(0, len(rows), _BATCH):
        collector.add(model.call("evaluate", examples=rows[start : start + _BATCH]))
    return metrics.measure(collector.rows(_SCENES))


def _cells(found: dict[str, float]) -> str:
    cells = ""
    for name in pointing.NAMES:
        interval = f"{found[name]:.3f} ({found[f'{name}_low']:.3f} to {found[f'{name}_high']:.3f})"
        cells += f"{interval:>26}{found[metrics.CHANCES[name]]:>9.3f}"
    return cells


if __name__ == "__main__":
    print(measure(*sys.argv[1:3], *map(int, sys.argv[3:])))
