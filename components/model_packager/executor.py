"""ModelPackager's work."""

import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from absl import logging
from tfx.types import Artifact
from tfx.utils import path_utils

from beam.evaluation_sets import CLASSES_FILE, EvaluationSuiteSettings
from beam.exported_model import ExportedModel
from components import declaration
from components.metrics import saved_model_metrics
from components.model_packager import labels, warm_up
from components.model_packager.settings import PackagingSettings
from models import features, files
from models.evaluation import metrics
from models.inputs import tfrecords
from models.pretrained import saved_model
from models.serving import export
from models.settings import configuration

PACKAGING_FILE = "packaging.json"
_COMPARED_ROWS = 2000


class Executor(declaration.Executor):
    """Writes the packaged model."""

    def run(
        self, model: Artifact, suite: Artifact, classes: Artifact, sets: str, settings: str, packaged: Artifact
    ) -> None:
        """Rebuilds the trained model, embeds the labels and exports both together."""
        trained = path_utils.serving_model_path(model.uri)
        own = declaration.split_uri(suite, features.OWN_SET)
        with tf.io.gfile.GFile(os.path.join(classes.uri, CLASSES_FILE)) as file:
            class_names = json.load(file)
        path = path_utils.serving_model_path(packaged.uri)

        objective, tokenizer, gin_text = saved_model.rebuild(trained)
        packaging = configuration.parse(settings, PackagingSettings)
        evaluated = configuration.parse(sets, EvaluationSuiteSettings).sets
        sets_with_labels = labels.wanted(evaluated, class_names, packaging.label_sets)
        label_sets = labels.embed(sets_with_labels, ExportedModel(trained))
        weights = packaging.weights
        export.save(objective, tokenizer, gin_text, path, label_sets, weights)
        rows = next(iter(tfrecords.read_shards([os.path.join(own, "*")]).batch(warm_up.LARGEST_BATCH)))
        warm_up.write(path, tfrecords.parse(rows, (features.IMAGE, features.CAPTION)))
        facts: dict[str, Any] = {
            "weights": weights,
            "bytes": export.folder_bytes(os.path.join(path, "variables")),
            "labels": {name: len(one.labels) for name, one in label_sets.items()},
        }
        if weights != "float32":
            exact = os.path.join(packaged.uri, "exact")
            export.save(objective, tokenizer, gin_text, exact, label_sets)
            facts |= {
                "float32_bytes": export.folder_bytes(os.path.join(exact, "variables")),
                "cost": _cost(exact, path, own),
            }
            tf.io.gfile.rmtree(exact)
            logging.warning("ModelPackager: %s", cost_text(facts))
        files.write_text(os.path.join(packaged.uri, PACKAGING_FILE), json.dumps(facts, indent=1))


def cost_text(facts: Mapping[str, Any]) -> str:
    """Describes the cost of weights in fewer bits, in one line."""
    changes = ", ".join(f"{name.replace('_', ' ')} {change:+.4f}" for name, change in facts["cost"].items())
    share = facts["bytes"] / facts["float32_bytes"]
    return f"{facts['weights']} weights: {share:.0%} of the bytes of float32; on the eval split {changes}"


def _cost(exact: str, compressed: str, split: str) -> dict[str, float]:
    """Returns the change of each metric of the eval split against float32 weights."""
    before, after = (
        saved_model_metrics.measure(ExportedModel(path), split, _COMPARED_ROWS) for path in (exact, compressed)
    )
    return {name: after[name] - before[name] for name in metrics.SHARES if before[name] == before[name]}
