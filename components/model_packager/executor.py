"""ModelPackager's work."""

import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from absl import logging
from tfx.types import Artifact
from tfx.utils import path_utils

from beam import writer
from beam.evaluation_sets import CLASSES_FILE
from components import declaration
from components.metrics import saved_model_metrics
from components.model_packager import warm_up
from models import features
from models.evaluation import metrics
from models.inputs import tfrecords
from models.pretrained import saved_model
from models.serving import export
from models.serving import label_sets as serving_label_sets

PACKAGING_FILE = "packaging.json"
_COMPARED_ROWS = 2000


class Executor(declaration.Executor):
    """Writes the packaged model."""

    def run(
        self, model: Artifact, suite: Artifact, classes: Artifact, label_sets: str, weights: str, packaged: Artifact
    ) -> None:
        """Rebuilds the trained model, embeds the labels and exports both together."""
        trained = path_utils.serving_model_path(model.uri)
        own = declaration.split_uri(suite, features.OWN_SET)
        with tf.io.gfile.GFile(os.path.join(classes.uri, CLASSES_FILE)) as file:
            class_names = json.load(file)
        path = path_utils.serving_model_path(packaged.uri)

        objective, tokenizer, gin_text = saved_model.rebuild(trained)
        sets = _embed(json.loads(label_sets), class_names, trained)
        export.save(objective, tokenizer, gin_text, path, sets, weights)
        rows = next(iter(tfrecords.read_shards([os.path.join(own, "*")]).batch(warm_up.LARGEST_BATCH)))
        warm_up.write(path, tfrecords.parse(rows, (features.IMAGE, features.CAPTION)), sets)
        facts: dict[str, Any] = {
            "weights": weights,
            "bytes": export.folder_bytes(os.path.join(path, "variables")),
            "labels": {name: len(one.labels) for name, one in sets.items()},
        }
        if weights != "float32":
            exact = os.path.join(packaged.uri, "exact")
            export.save(objective, tokenizer, gin_text, exact, sets)
            facts |= {
                "float32_bytes": export.folder_bytes(os.path.join(exact, "variables")),
                "cost": _cost(exact, path, own),
            }
            tf.io.gfile.rmtree(exact)
            logging.warning("ModelPackager: %s", cost_text(facts))
        writer.write_text(os.path.join(packaged.uri, PACKAGING_FILE), json.dumps(facts, indent=1))


def cost_text(facts: Mapping[str, Any]) -> str:
    """Describes the cost of weights in fewer bits, in one line."""
    changes = ", ".join(f"{name.replace('_', ' ')} {change:+.4f}" for name, change in facts["cost"].items())
    share = facts["bytes"] / facts["float32_bytes"]
    return f"{facts['weights']} weights: {share:.0%} of the bytes of float32; on the eval split {changes}"


def _embed(
    wanted: Mapping[str, Any], classes: Mapping[str, list[str]], model: str
) -> dict[str, serving_label_sets.LabelSet]:
    """Embeds the labels of each wanted set with the model, leaving sets without labels out."""
    embed_text = saved_model_metrics.text_embedder(model)
    made = {}
    for name, one in wanted.items():
        labels = one["labels"] or classes.get(name, [])
        if labels:
            made[name] = serving_label_sets.embed(labels, one["templates"], embed_text)
    return made


def _cost(exact: str, compressed: str, split: str) -> dict[str, float]:
    """Returns the change of each metric of the eval split against float32 weights."""
    before, after = (saved_model_metrics.measure(path, split, _COMPARED_ROWS) for path in (exact, compressed))
    return {name: after[name] - before[name] for name in metrics.SHARES if before[name] == before[name]}
