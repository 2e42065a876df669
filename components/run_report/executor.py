"""RunReport's work: collects the facts of a run, draws the figures, and writes the page and summary.json."""

import dataclasses
import datetime
import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from beam.build import ImageTextGenSettings
from beam.dedupe.report import CLUSTERS_FILE
from beam.evaluation_sets import CLASSES_FILE
from beam.exported_model import ExportedModel
from beam.store import MANIFEST_FILE, SAMPLES_FILE
from components import installed
from components.declaration import Artifacts
from components.infra_validator.executor import CHECK_FILE
from components.model_packager import executor as packager
from components.run_report import (
    composed_queries,
    figures,
    gate,
    heat_maps,
    rendering,
    test_split,
    times,
    training_views,
)
from components.run_report.settings import ReportSettings
from components.visual_codebook.executor import FACTS_FILE
from models import features, files
from models.evaluation import as_json, metrics
from models.settings import TrainingSettings, configuration
from models.training.log import LOG_FILE

_DOTS = 1000  # rows in the scatter of both modalities
PAGE_FILE, SUMMARY_FILE = "report.html", "summary.json"
_ROWS = 6  # of the train split, as training sees them


class Executor(base_executor.BaseExecutor):
    """Writes the report's two files."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Reads the run's artifacts and writes report.html and summary.json."""
        folder = artifact_utils.get_single_uri(output_dict["report"])
        summary, page = _facts(input_dict, exec_properties)
        summary = as_json.without_nan(summary)
        files.write_text(os.path.join(folder, SUMMARY_FILE), json.dumps(summary, indent=1, allow_nan=False))
        files.write_text(os.path.join(folder, PAGE_FILE), render(summary, page))


def render(summary: Mapping[str, Any], page: Mapping[str, Any]) -> str:
    """Renders the page."""
    return rendering.render("components.run_report", "page.html.j2", {**summary, **page})


class _Inputs:
    """The run's artifacts by the names of RunReport's inputs."""

    def __init__(self, artifacts: Artifacts) -> None:
        self.artifacts = artifacts

    def uri(self, name: str) -> str:
        """The folder of an artifact."""
        return artifact_utils.get_single_uri(self.artifacts[name])

    def read(self, name: str, file: str, otherwise: Any = None) -> Any:
        """The content of a JSON file of an artifact; `otherwise` if the run has no such artifact."""
        return _read_json(self.uri(name), file) if self.artifacts.get(name) else otherwise


def _facts(artifacts: Artifacts, exec_properties: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the summary for programs, and what only the page shows."""
    inputs = _Inputs(artifacts)
    settings = configuration.parse(exec_properties["settings"], ReportSettings)
    training = configuration.parse(exec_properties["training"], TrainingSettings)
    evaluation = gate.read(inputs.uri("evaluation"))
    split = artifact_utils.get_split_uri(artifacts["examples"], "test")
    model = path_utils.serving_model_path(inputs.uri("model"))
    exported = ExportedModel(model)
    test = test_split.measure(exported, split, settings.max_rows, settings.gallery)
    reranked = []
    if settings.reranked_queries:
        reranked = test_split.reranked(exported, split, settings.max_rows, settings.reranked_queries)
    confidence = evaluation.confidence.overall
    queries = composed_queries.of_split(exported, split, settings.max_rows, confidence)
    log = _read_lines(inputs.uri("model_run"), LOG_FILE)
    summary = {"title": settings.title, "model": model, **_summary(inputs, evaluation, test, log)}
    summary["reranked"] = reranked
    summary["composed"] = None if queries is None else {"queries": queries.count, "recalls": queries.recalls}
    packaging, made = summary["packaging"], times.made_at(artifacts)
    page = {
        "curves": figures.training_curves(log),
        "bars": figures.metric_bars(
            [one for one in evaluation.lines if one.place == features.OWN_SET and one.metric in metrics.SHARES],
            test.metrics,
        ),
        "packaging_cost": packager.cost_text(packaging) if "cost" in packaging else "",
        "gallery": test.gallery,
        "calibrated": test.calibrated,
        "codebook": inputs.read("visual_codebook", FACTS_FILE),
        "modalities": figures.modalities(test.image[:_DOTS], test.text[:_DOTS]),
        "heat_maps": heat_maps.of_splits(exported, _sets(artifacts), settings.gallery, settings.max_rows),
        "queries": queries,
        "pairs": inputs.read("dedupe_report", SAMPLES_FILE, []),
        "seen": training_views.sheet(training, artifact_utils.get_split_uri(artifacts["examples"], "train"), _ROWS),
        "variants": inputs.read("augment_report", SAMPLES_FILE, []),
        "gin": exec_properties["gin"],
        "asked_steps": exec_properties["steps"],
        "source": str(configuration.parse(exec_properties["image_text_gen"], ImageTextGenSettings).source),
        "attribution": settings.attribution,
        "timings": made,
        "time_bars": figures.time_bars(times.of_components(made), times.of_training(log)),
        "written_at": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }
    return summary, page


def _sets(artifacts: Artifacts) -> list[str]:
    """The folders of the evaluation sets."""
    (suite,) = artifacts["suite"]
    names = artifact_utils.decode_split_names(suite.split_names)
    return [artifact_utils.get_split_uri([suite], name) for name in names]


def _summary(
    inputs: _Inputs, evaluation: gate.Evaluation, test: test_split.TestSplit, log: list[dict[str, float]]
) -> dict[str, Any]:
    """Returns the decision of the gate and what led to it, then the facts of each component."""
    serving = inputs.read("infra_blessing", CHECK_FILE)
    blessed = inputs.artifacts["model_blessing"][0].get_int_custom_property("blessed") == 1
    failures = evaluation.failures
    if not blessed and not failures:
        failures.append(f"the Evaluator did not bless the model; its reasons are in {inputs.uri('evaluation')}")
    if serving["problem"]:
        failures.append(f"the model cannot be served: {serving['problem']}")
    generated = inputs.read("image_text_gen_report", MANIFEST_FILE)
    return {
        "blessed": blessed,
        "served": not serving["problem"],
        "failures": failures,
        "pushed": inputs.artifacts["pushed_model"][0].get_string_custom_property("pushed_destination"),
        "gate": [{**dataclasses.asdict(line), "failures": line.failures} for line in evaluation.lines],
        "evaluation_sets": _evaluation_sets(inputs.uri("suite_report")),
        "packaging": inputs.read("model", packager.PACKAGING_FILE),
        "confidence": dataclasses.asdict(evaluation.confidence),
        "slices": evaluation.slices,
        "test": {"rows": test.rows, "metrics": test.metrics, "chance": test.chance},
        "image_text_gen": generated,
        "ingest": generated,  # the former name, for one release
        "dedupe": inputs.read("dedupe_report", MANIFEST_FILE),
        "reject_folders": {
            name: inputs.uri(f"{name}_report")
            for name in ("image_text_gen", "dedupe", "augment")
            if inputs.artifacts.get(f"{name}_report")
        },
        "clusters": inputs.read("dedupe_report", CLUSTERS_FILE),
        "augment": inputs.read("augment_report", MANIFEST_FILE),
        "anomalies": _anomalies(inputs.uri("anomalies")),
        "serving_check": serving,
        "training": {"steps": int(log[-1]["step"]) + 1, **log[-1]} if log else {"steps": 0},
        "versions": installed.versions(),
    }


def _evaluation_sets(folder: str) -> dict[str, dict[str, Any]]:
    """Returns {set: number of rows, dropped rows by reason, and number of classes}."""
    facts = {}
    for name, classes in _read_json(folder, CLASSES_FILE).items():
        manifest = _read_json(os.path.join(folder, name), MANIFEST_FILE)
        facts[name] = {"rows": manifest["written"], "dropped": manifest["dropped"], "classes": len(classes)}
    return facts


def _anomalies(folder: str) -> list[str]:
    """Returns the anomalies that ExampleValidator found, as "split: feature: description"."""
    found = []
    for path in sorted(tf.io.gfile.glob(os.path.join(folder, "Split-*", "SchemaDiff.pb"))):
        split = os.path.basename(os.path.dirname(path)).removeprefix("Split-")
        with tf.io.gfile.GFile(path, "rb") as file:
            anomalies = anomalies_pb2.Anomalies.FromString(file.read())
        for feature, info in sorted(anomalies.anomaly_info.items()):
            found.append(f"{split}: {feature}: {info.description}")
    return found


def _read_json(folder: str, name: str) -> Any:
    with tf.io.gfile.GFile(os.path.join(folder, name)) as file:
        return json.load(file)


def _read_lines(folder: str, name: str) -> list[dict[str, float]]:
    with tf.io.gfile.GFile(os.path.join(folder, name)) as file:
        return [json.loads(line) for line in file]
