"""Evaluates a SavedModel on the evaluation sets of gin files."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tqdm

from beam.evaluation_sets import EvaluationSetSettings
from beam.exported_model import ExportedModel
from components.metrics import saved_model_metrics
from components.model_packager import labels
from models.evaluation import metrics
from models.serving import contract, export
from models.serving.contract import EMBED_TEXT, EVALUATE
from models.serving.label_sets import LabelSet
from models.settings import configuration
from pipeline import pins, suite
from pipeline.console import beam_flags, output_folder
from pipeline.evaluation import probes, report, scores, sets
from pipeline.settings.run import PipelineSettings

_SETS_FOLDER = "sets"


def run(
    model_path: str, gin_files: Sequence[str], gin_bindings: Sequence[str], output_dir: str, examples: str = ""
) -> report.Facts:
    """Evaluates the model, prints a table, and writes evaluation.json and evaluation.html.

    Args:
      model_path: folder of a SavedModel.
      gin_files: gin files that set Pipeline.evaluation_sets, and perhaps Gate.slice_by.
      gin_bindings: bindings that override the files.
      output_dir: the folder to write to; the rows of the sets stay there for the next run.
      examples: folder of the Examples artifact of a run, whose split eval is the set "eval"; "" leaves that set out.

    Raises:
      ValueError: the gin is invalid, an input is missing, the model is of another kind, or nothing can be measured.
    """
    start = time.monotonic()
    (settings,) = configuration.load(list(gin_files), list(gin_bindings), [PipelineSettings])
    settings = pins.pin_evaluation_sets(settings)
    wanted = sets.chosen(settings.all_evaluation_sets, examples)
    pins.require_evaluation_sets(settings)
    model = ExportedModel(model_path, required=(EVALUATE, EMBED_TEXT))
    beam_flags.print_unknown(settings.beam_args)
    with output_folder.alone(output_dir):
        read = {one.name: one for one in suite.read(settings).sets}
        folders = {one.name: os.path.join(output_dir, _SETS_FOLDER, one.name) for one in wanted}
        for one in wanted:
            sets.build(read[one.name], examples, folders[one.name], settings.beam_args)
        classes = {name: sets.classes(folder, name) for name, folder in folders.items()}
        probed_sets = {name for one in wanted if one.fitted_on for name in (one.name, one.fitted_on)}
        several = {name: sets.has_several_classes(folders[name], name) for name in probed_sets}
        _require_measurable(wanted, classes, several)  # before an hour goes into the first set
        found = {
            one.name: _scores(model, model_path, one, folders[one.name], classes[one.name], settings) for one in wanted
        }
        probed = {one.name: _probed(one, found, classes, settings) for one in wanted}
        manifests = {name: sets.manifest(folder, name) for name, folder in folders.items()}
        facts = report.facts(model_path, found, manifests, probed, settings.gate.confidence)
        page = report.write(facts, output_dir)
    print("\n".join(report.table(facts)))
    print(f"\n{time.monotonic() - start:.0f} s. Page: {page}; numbers: {os.path.join(output_dir, report.JSON_FILE)}")
    return facts


def _require_measurable(
    wanted: Sequence[EvaluationSetSettings], classes: Mapping[str, Sequence[str]], several: Mapping[str, bool]
) -> None:
    """Raises ValueError for a set with nothing to measure; `several` says which sets have rows of several classes."""
    for one in wanted:
        if not classes[one.name] and not one.retrieval:
            raise ValueError(
                f"EvaluationSet {one.name!r} has no row with a class, and EvaluationSet.retrieval is False, so there "
                "is nothing to measure; give the rows a class_name, or set EvaluationSet.retrieval = True"
            )
        if one.fitted_on:
            probes.require_fit(one.fitted_on, classes[one.fitted_on], several[one.fitted_on], fewest=2)
            probes.require_fit(one.name, classes[one.name], several[one.name])


def _scores(
    model: ExportedModel,
    model_path: str,
    one: EvaluationSetSettings,
    folder: str,
    classes: Sequence[str],
    settings: PipelineSettings,
) -> scores.Scores:
    embedded = _labels(model, model_path, one, classes)
    with _bar(sets.manifest(folder, one.name)["written"], " rows", one.name) as bar:
        return scores.measure(
            model,
            sets.split(folder, one.name),
            embedded,
            bar,
            settings.gate.slice_by,
            one.retrieval,
            metrics.Confidence(settings.gate.confidence, settings.gate.slice_confidence),
            keeps_outputs=bool(one.fitted_on) or one.name in {other.fitted_on for other in settings.evaluation_sets},
        )


def _probed(
    one: EvaluationSetSettings,
    found: Mapping[str, scores.Scores],
    classes: Mapping[str, Sequence[str]],
    settings: PipelineSettings,
) -> dict[str, float]:
    """The metrics of the probes of a set, which are fitted on another one; {} if it asks for none."""
    if not one.fitted_on:
        return {}
    outputs = {name: found[name].outputs for name in (one.fitted_on, one.name)}
    fitted, scored = (probes.Embedded.of(rows, classes[name], name) for name, rows in outputs.items() if rows)
    print(f"{one.name}: fits probes on {len(fitted.label):,} pictures of {one.fitted_on}", flush=True)
    with _bar(probes.STEPS, " steps", f"{one.name}: probes") as bar:
        return probes.measure(fitted, scored, settings.gate.confidence, bar.update)


def _labels(
    model: ExportedModel, model_path: str, one: EvaluationSetSettings, classes: Sequence[str]
) -> LabelSet | None:
    """The embedded classes of a set; None if it has no classes, or if the model has embedded the same ones."""
    wanted = labels.wanted([one], {one.name: list(classes)}, ())
    if not wanted:
        return None
    names, templates = wanted[one.name]
    stored = os.path.join(model_path, export.EXTRA, export.LABELS_FOLDER, f"{one.name}.json")
    knows_several = "class_indices" in contract.signatures(model_path)[EVALUATE].outputs  # older models do not
    if knows_several and tf.io.gfile.exists(stored):
        with tf.io.gfile.GFile(stored) as file:
            known = json.load(file)
        if (known["labels"], known["templates"]) == (list(names), list(templates)):
            return None
    with _bar(len(names) * len(templates), " texts", f"{one.name}: classes") as bar:
        return labels.embed(wanted, _Counted(model, bar))[one.name]


class _Counted:
    """A model that tells a bar the number of rows of each call."""

    def __init__(self, model: saved_model_metrics.Signatures, bar: scores.Progress) -> None:
        self._model, self._bar = model, bar

    def call(self, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        """As `Signatures.call`."""
        answer = self._model.call(signature, **inputs)
        self._bar.update(len(next(iter(answer.values()))))
        return answer


def _bar(total: int, unit: str, name: str) -> scores.Progress:
    """A line with the rate and the time that is left."""
    return tqdm.tqdm(total=total, unit=unit, desc=name, smoothing=0.1)
