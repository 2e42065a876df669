"""ModelPackager's work."""

import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from absl import logging
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import path_utils

from beam.evaluation_sets import CLASSES_FILE
from components.metrics import saved_model_metrics
from components.model_packager import warm_up
from models import features, files
from models.evaluation import metrics
from models.inputs import tfrecords
from models.pretrained import saved_model
from models.serving import export, label_sets

SUITE_KEY = "suite"
CLASSES_KEY = "classes"
LABEL_SETS_KEY = "label_sets"
WEIGHTS_KEY = "weights"
PACKAGED_KEY = "packaged"
PACKAGING_FILE = "packaging.json"
_COMPARED_ROWS = 2000


class Executor(base_executor.BaseExecutor):
    """Writes the packaged model."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Rebuilds the trained model, embeds the labels and exports both together."""
        model = artifact_utils.get_single_uri(input_dict[standard_component_specs.MODEL_KEY])
        trained = path_utils.serving_model_path(model)
        own = artifact_utils.get_split_uri(input_dict[SUITE_KEY], features.OWN_SET)
        classes_path = os.path.join(artifact_utils.get_single_uri(input_dict[CLASSES_KEY]), CLASSES_FILE)
        with tf.io.gfile.GFile(classes_path) as file:
            classes = json.load(file)
        packaged = artifact_utils.get_single_uri(output_dict[PACKAGED_KEY])
        path = path_utils.serving_model_path(packaged)
        weights = exec_properties[WEIGHTS_KEY]

        objective, tokenizer, gin_text = saved_model.rebuild(trained)
        sets = _embed(json.loads(exec_properties[LABEL_SETS_KEY]), classes, trained)
        export.save(objective, tokenizer, gin_text, path, sets, weights)
        rows = next(iter(tfrecords.read_shards([os.path.join(own, "*")]).batch(warm_up.LARGEST_BATCH)))
        warm_up.write(path, tfrecords.parse(rows, (features.IMAGE, features.CAPTION)), sets)
        facts: dict[str, Any] = {
            "weights": weights,
            "bytes": export.folder_bytes(os.path.join(path, "variables")),
            "labels": {name: len(one.labels) for name, one in sets.items()},
        }
        if weights != "float32":
            exact = os.path.join(packaged, "exact")
            export.save(objective, tokenizer, gin_text, exact, sets)
            facts |= {
                "float32_bytes": export.folder_bytes(os.path.join(exact, "variables")),
                "cost": _cost(exact, path, own),
            }
            tf.io.gfile.rmtree(exact)
            logging.warning("ModelPackager: %s", cost_text(facts))
        files.write_text(os.path.join(packaged, PACKAGING_FILE), json.dumps(facts, indent=1))


def cost_text(facts: Mapping[str, Any]) -> str:
    """What fewer bits cost, in a line."""
    changes = ", ".join(f"{name.replace('_', ' ')} {change:+.4f}" for name, change in facts["cost"].items())
    share = facts["bytes"] / facts["float32_bytes"]
    return f"{facts['weights']} weights: {share:.0%} of the bytes of float32; on the eval split {changes}"


def _embed(wanted: Mapping[str, Any], classes: Mapping[str, list[str]], model: str) -> dict[str, label_sets.LabelSet]:
    embed_text = saved_model_metrics.text_embedder(model)
    made = {}
    for name, one in wanted.items():
        labels = one["labels"] or classes.get(name, [])
        if labels:
            made[name] = label_sets.embed(labels, one["templates"], embed_text)
    return made


def _cost(exact: str, compressed: str, split: str) -> dict[str, float]:
    """How far each metric of the eval split lies above that of float32 weights."""
    before, after = (saved_model_metrics.measure(path, split, _COMPARED_ROWS) for path in (exact, compressed))
    return {name: after[name] - before[name] for name in metrics.SHARES if before[name] == before[name]}
