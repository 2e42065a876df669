"""The process of one run: trains a cell with one seed, measures the model, and writes the result last.

The runner forks it from a process that has imported this module, but has not used TensorFlow. So this module imports
all that a run needs, and nothing of TFX or Beam, which a run does not need.
"""

import dataclasses
import json
import multiprocessing
import os
import shutil
import signal
import statistics
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from components import installed
from components.metrics import composed, reranking, saved_model_metrics
from components.model_packager import labels
from models import files, locks, settings
from models.evaluation import as_json, composition, metrics
from models.evaluation.reranking import as_metrics
from models.serving import export
from models.settings import configuration
from models.training.divergence import Diverged
from models.training.fit import fit
from models.training.log import LOG_FILE, RATES, TIMES
from pipeline.console import terminal
from pipeline.study.settings import TEST

RESULT_FILE, OUTPUT_FILE, LOCK_FILE = "result.json", "run.log", ".running"
WORK_FOLDER, MODEL_FOLDER = "work", "model"
_RERANKED_QUERIES = 64
FINISHED, DIVERGED = "finished", "diverged"
_MEASURED = (*metrics.BOUNDED, *(f"{name}{end}" for name in metrics.BOUNDED for end in ("_low", "_high")))
_MEASURED = (*_MEASURED, *metrics.CALIBRATIONS, *metrics.CHANCES.values(), metrics.PICTURES, metrics.CLASSES)


@dataclasses.dataclass(frozen=True)
class Order:
    """All that a run needs, as plain values.

    Attributes:
      identity: hash of all that the result depends on.
      gin: resolved gin of TrainingSettings.
      vocabulary: path of the SentencePiece model.
      codebook: path of the visual codes; "" if the objective asks for none.
      train: paths of the shards to learn from.
      held_out: pattern of the shards that training scores.
      evaluated: {evaluation set, or 'test': folder of its shards}.
      not_retrieved: evaluation sets without retrieval metrics.
      label_sets: {evaluation set: [labels, templates]}.
      weights: dtype of the packaged weights.
      test_rows: largest number of rows of the test split to measure.
      keeps_model: whether to keep the packaged model.
    """

    identity: str
    gin: str
    vocabulary: str
    codebook: str
    train: list[str]
    held_out: str
    evaluated: dict[str, str]
    not_retrieved: list[str]
    label_sets: dict[str, list[list[str]]]
    weights: str
    test_rows: int
    keeps_model: bool


def start(order: Order, folder: str, temporary: str) -> None:
    """The target of the process: runs the order in the run's folder; what it prints goes to run.log there.

    It ends when the process that started it ends, as if by SIGTERM: training saves its state.
    """
    os.setpgrp()  # Ctrl-C reaches the command alone, which then asks its runs to stop
    os.environ["TMPDIR"] = tempfile.tempdir = temporary
    output = os.open(os.path.join(folder, OUTPUT_FILE), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(output, stream)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    parent = multiprocessing.parent_process()
    if parent:
        threading.Thread(target=_stop_with, args=(parent,), daemon=True).start()
    with locks.hold(os.path.join(folder, LOCK_FILE), print):
        run(order, folder)


def _stop_with(parent: Any) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def run(order: Order, folder: str) -> None:
    """Trains, measures, and writes the result; then removes checkpoints and, unless it is to be kept, the model.

    Raises:
      Interrupted: a signal asked the process to stop, and the state is saved.
    """
    work = os.path.join(folder, WORK_FOLDER)
    config = configuration.parse(order.gin, settings.TrainingSettings)
    checkpoints = os.path.join(work, "checkpoints")
    result: dict[str, Any] = {"identity": order.identity, "versions": installed.versions()}
    try:
        objective, tokenizer, _ = fit(
            config, order.vocabulary, order.train, [order.held_out], folder, checkpoints, order.codebook
        )
    except Diverged as error:
        print(f"diverged: {error}")
        result |= {"status": DIVERGED, "step": error.step, "metrics": {}}
    else:
        memory = terminal.peak_memory_bytes()
        exact = export.ServedModel(objective, tokenizer, {}, "float32")
        sets = {name: (one, templates) for name, (one, templates) in order.label_sets.items()}
        label_sets = labels.embed(sets, exact)
        packaged = export.ServedModel(objective, tokenizer, label_sets, order.weights)
        measured = _measure(packaged, order)
        if reranking.MATCH in packaged.signatures():
            rows = reranking.measure(packaged, order.evaluated[TEST], order.test_rows, _RERANKED_QUERIES)
            measured[TEST] |= as_metrics(rows)
            result["reranking"] = [dataclasses.asdict(row) for row in rows]
        if order.keeps_model:
            path = os.path.join(folder, MODEL_FOLDER)
            shutil.rmtree(path, ignore_errors=True)
            export.save(objective, tokenizer, configuration.to_gin(config), path, label_sets, order.weights)
        result |= {"status": FINISHED, "step": config.steps, "metrics": measured, "peak_memory_bytes": memory}
    result |= of_log(os.path.join(folder, LOG_FILE))
    text = json.dumps(as_json.without_nan(result), indent=1, allow_nan=False)
    files.write_text(os.path.join(folder, RESULT_FILE), text)
    shutil.rmtree(work, ignore_errors=True)


def _measure(model: export.ServedModel, order: Order) -> dict[str, dict[str, float]]:
    """{evaluation set, or 'test': {metric: value}}."""
    not_retrieved = frozenset(order.not_retrieved)
    found = {}
    for name, split in order.evaluated.items():
        rows = order.test_rows if name == TEST else -1
        measured = saved_model_metrics.measure(model, split, rows, not_retrieved)
        found[name] = {metric: measured[metric] for metric in _MEASURED}
    rows_of_test = composed.held_out_rows(order.evaluated[TEST], order.test_rows)
    if queries := composed.measure(model, rows_of_test, composed.EMBED_PAIR in model.signatures()):
        found[TEST] |= composition.as_metrics(queries.recalls)
    return found


def of_log(path: str) -> dict[str, Any]:
    """The last value of each scalar of the log, and the times of training; a rate is the median of its rows."""
    with open(path) as file:
        rows: Sequence[Mapping[str, float]] = [json.loads(line) for line in file]
    last = {name: value for row in rows for name, value in row.items()}
    rates = {name: statistics.median(row[name] for row in rows if name in row) for name in RATES if name in last}
    return {
        "log": {name: value for name, value in last.items() if name not in TIMES},
        "times": {name: rates.get(name, last[name]) for name in TIMES if name in last},
        "seconds": last.get("seconds", 0.0),
        "examples_per_second": rates.get("examples_per_second"),
    }
