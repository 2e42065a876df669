"""The runs of a study: what each one is made of, where it lies, and its result."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.model_packager import labels
from models import files, locks, run_fn
from models.inputs import tfrecords
from models.settings import TrainingSettings, configuration
from pipeline import suite
from pipeline.study.cells import Cell
from pipeline.study.training_run import LOCK_FILE, RESULT_FILE, WORK_FOLDER, Order

if TYPE_CHECKING:
    from pipeline.study.data import Data

GIN_FILE = "config.gin"
_IDENTITY_FILE = "identity"


@dataclasses.dataclass(frozen=True)
class Run:
    """A cell trained with one seed.

    Attributes:
      cell: the cell.
      seed: value of Training.seed.
      folder: of the run.
      order: what its process does.
      gin: the resolved gin of the pipeline.
    """

    cell: Cell
    seed: int
    folder: str
    order: Order
    gin: str

    @property
    def examples(self) -> int:
        """Pairs that the run sees."""
        training = self.cell.settings.training
        return training.steps * training.batch_size

    @property
    def title(self) -> str:
        """The run in words."""
        return f"{self.cell.name}, seed {self.seed}"

    def result(self) -> dict[str, Any] | None:
        """The run's result; None if there is none, or one of another identity."""
        try:
            with open(os.path.join(self.folder, RESULT_FILE)) as file:
                result: dict[str, Any] = json.load(file)
        except FileNotFoundError:
            return None
        return result if result["identity"] == self.order.identity else None

    def make_ready(self) -> None:
        """Makes the folder, and removes what a run of another identity has left in it.

        If a killed study has left a process that still runs here, this waits until it has ended.
        """
        files.make_folder(self.folder)
        with locks.hold(os.path.join(self.folder, LOCK_FILE), _wait):
            if self.result():
                shutil.rmtree(os.path.join(self.folder, WORK_FOLDER), ignore_errors=True)
                return
            if self._begun() != self.order.identity:
                for name in set(files.names(self.folder)) - {LOCK_FILE}:
                    path = os.path.join(self.folder, name)
                    shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
            files.write_text(os.path.join(self.folder, GIN_FILE), self.gin)
            files.write_text(os.path.join(self.folder, WORK_FOLDER, _IDENTITY_FILE), self.order.identity)

    def _begun(self) -> str:
        """The identity of the unfinished run in the folder; "" if there is none."""
        try:
            with open(os.path.join(self.folder, WORK_FOLDER, _IDENTITY_FILE)) as file:
                return file.read()
        except FileNotFoundError:
            return ""


def make(cells: Sequence[Cell], data: Mapping[str, Data], seeds: Sequence[int], folder: str, keep: bool) -> list[Run]:
    """The runs of all cells: first all cells with the first seed, and so on.

    Args:
      cells: the cells, pinned.
      data: {name of a cell: its data}.
      seeds: the seeds.
      folder: of the study's runs.
      keep: whether the runs keep their models.
    """
    return [_make_one(cell, seed, data[cell.name], folder, keep) for seed in seeds for cell in cells]


def _make_one(cell: Cell, seed: int, data: Data, folder: str, keep: bool) -> Run:
    training = dataclasses.replace(cell.settings.training, seed=seed)
    settings = dataclasses.replace(cell.settings, training=training)
    cell = dataclasses.replace(cell, settings=settings)
    sets = suite.classified(settings).sets
    wanted = labels.wanted(sets, data.classes, settings.packaging.label_sets)
    order = Order(
        identity="",
        gin=configuration.to_gin(training),
        vocabulary=data.vocabulary,
        codebook=data.codebook,
        train=tfrecords.find_shards([data.train]),
        held_out=data.held_out,
        evaluated=data.evaluated,
        not_retrieved=suite.not_retrieved(settings),
        label_sets={name: [list(one), list(templates)] for name, (one, templates) in wanted.items()},
        weights=settings.packaging.weights,
        test_rows=settings.report.max_rows,
        keeps_model=keep,
    )
    fingerprint = run_fn.fingerprint(training, order.train, order.vocabulary, order.codebook, [order.held_out])
    order = dataclasses.replace(order, identity=_identity(order, fingerprint, training))
    path = os.path.join(folder, cell.folder, f"seed-{seed}")
    return Run(cell, seed, path, order, configuration.to_gin(settings))


def _identity(order: Order, fingerprint: str, training: TrainingSettings) -> str:
    """A hash of everything that the result depends on: the weights, and what they are measured on."""
    facts = dataclasses.asdict(dataclasses.replace(order, gin="", held_out="", keeps_model=False))
    facts |= {"fingerprint": fingerprint, "shards": _shards(tuple(sorted(order.evaluated.values())))}
    # The fingerprint leaves these out, because a stopped run may go on with other ones.
    facts["max_loss"] = training.max_loss
    logging = training.logging
    facts["logged"] = [logging.held_out_rows, bool(logging.held_out_every), logging.false_negatives]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@functools.cache
def _shards(folders: tuple[str, ...]) -> list[tuple[str, int]]:
    """(path, bytes) of all shards in the folders."""
    paths = tfrecords.find_shards([os.path.join(folder, "*") for folder in folders])
    return [(path, os.path.getsize(path)) for path in paths]


def _wait(holder: str) -> None:
    print(f"      a process of an earlier command still has this run ({holder}); waiting for it", flush=True)
