"""The data of studies: shards, vocabulary and evaluation sets, made once for all cells that read the same.

All studies of an output folder share them: they lie in one folder, and come from one pipeline's cache.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import ml_metadata

from beam import store
from beam.evaluation_sets import CLASSES_FILE
from components.vocabulary_trainer.executor import MODEL_FILE
from models import features, files, locks
from models.layers.visual_codes import CODEBOOK_FILE
from models.settings import configuration, visual_codes
from pipeline import executions, pins, pipeline, platform, suite
from pipeline.console import local_dag
from pipeline.study.cells import Cell
from pipeline.study.settings import DATA_FOLDER, TEST

if TYPE_CHECKING:
    from pipeline.settings.run import PipelineSettings

_LOG_FILE, _LOCK_FILE = "run.log", ".running"


@dataclasses.dataclass(frozen=True)
class Data:
    """What the runs of a cell read.

    Attributes:
      train: pattern of the shards that training learns from.
      held_out: pattern of the shards that training scores.
      vocabulary: path of the SentencePiece model.
      evaluated: {evaluation set, or 'test': folder of its shards}.
      classes: {evaluation set: class names of its rows}.
      codebook: path of the visual codes; "" if the objective asks for none.
    """

    train: str
    held_out: str
    vocabulary: str
    evaluated: dict[str, str]
    classes: dict[str, list[str]]
    codebook: str = ""


def pin(cell: Cell) -> Cell:
    """Fills in versions and hashes of the files that the cell names, and checks that its checkpoint fits.

    Raises:
      ValueError: an input is missing or does not fit; the message names the cell.
    """
    try:
        settings = pins.pin(cell.settings)
        pins.require_inputs(settings)
    except ValueError as error:
        raise ValueError(f"cell {cell.name!r}: {error}") from error
    return dataclasses.replace(cell, settings=settings)


def prepare(cells: Sequence[Cell], folder: str) -> dict[str, Data]:
    """Runs the components before the Trainer, once for each distinct data; what is there comes from cache.

    If another study makes data in the folder, this waits until it has ended.

    Args:
      cells: all cells, pinned.
      folder: of the artifacts.

    Returns:
      {name of a cell: its data}.

    Raises:
      ComponentFailed: a component raised an exception.
      ValueError: the train split does not fill a batch of a cell.
    """
    sharing: dict[str, list[Cell]] = {}
    for cell in cells:
        sharing.setdefault(_text(cell.settings), []).append(cell)
    found: dict[str, Data] = {}
    for number, group in enumerate(sharing.values(), start=1):
        names = "; ".join(cell.name for cell in group)
        print(f"Data {number} of {len(sharing)}, of {len(group)} cells: {names}", flush=True)
        outputs = _run(group, folder)
        for cell in group:
            _require_batch(cell, outputs["rows"])
            found[cell.name] = _data(outputs, cell.settings)
    return found


def _text(settings: PipelineSettings) -> str:
    """The resolved gin of all that the data depend on."""
    parts: list[Any] = [
        settings.image_text_gen,
        settings.deduper,
        settings.vocabulary,
        settings.augmenter,
        settings.training.embedding,
        visual_codes(settings.training.objective),
        suite.read(settings),
    ]
    return configuration.to_gin(*(part for part in parts if part))


def _run(group: Sequence[Cell], folder: str) -> dict[str, str]:
    """Runs the DAG of a group of cells; returns {output of create_data: its folder}.

    BatchCheck checks the smallest batch, so that the check of each cell, which names it, comes first.
    """
    settings = min((cell.settings for cell in group), key=lambda one: one.training.batch_size)
    machine = platform.ThisMachine(folder)
    dag, outputs = pipeline.create_data(dataclasses.replace(settings, name=DATA_FOLDER), machine)
    files.make_folder(folder)
    with locks.hold(os.path.join(folder, _LOCK_FILE), _wait):
        local_dag.run(dag, os.path.join(folder, _LOG_FILE))
        metadata = ml_metadata.MetadataStore(machine.locations.metadata)
        return {key: executions.output(metadata, DATA_FOLDER, channel) for key, channel in outputs.items()}


def _wait(holder: str) -> None:
    print(f"      another study makes data here ({holder}); waiting for it", flush=True)


def _require_batch(cell: Cell, rows: str) -> None:
    try:
        store.require_batch(rows, cell.settings.training.batch_size, cell.settings.train_variants)
    except store.NoRows as error:
        raise ValueError(f"cell {cell.name!r}: {error}") from error


def _data(outputs: Mapping[str, str], settings: PipelineSettings) -> Data:
    with open(os.path.join(outputs["classes"], CLASSES_FILE)) as file:
        classes = json.load(file)
    sets = [one.name for one in settings.all_evaluation_sets]
    return Data(
        os.path.join(outputs["train"], "Split-train", "*"),
        os.path.join(outputs["train"], f"Split-{features.OWN_SET}", "*"),
        os.path.join(outputs["vocabulary"], MODEL_FILE),
        {name: os.path.join(outputs["suite"], f"Split-{name}") for name in sets}
        | {TEST: os.path.join(outputs["held_out"], f"Split-{TEST}")},
        classes,
        os.path.join(outputs["codebook"], CODEBOOK_FILE) if "codebook" in outputs else "",
    )
