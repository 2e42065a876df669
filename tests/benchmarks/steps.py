"""Times of the training step: ring and dense loss at N = 1; what XLA compiles; micro-batches, rematerialisation."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
import tf_keras as keras

from models import compilation, objectives, optimizers, settings
from models.distribution import collectives
from models.layers.visual_codes import Codebook
from models.losses import sigmoid
from models.objectives import siglip
from models.objectives.objective import PICTURE_IDS, SEEDS, Run
from models.training.step import TrainStep
from tests.benchmarks.measure import Ratio, ratio
from tests.benchmarks.models import TINY
from tests.dense_losses import dense_sigmoid_loss

CONFIG = settings.TrainingSettings(objective=TINY, batch_size=64)
_VOCABULARY = 1200


def step_of(
    config: settings.TrainingSettings, loss: Callable[..., tf.Tensor] = sigmoid.sigmoid_loss, compiled: str = "parts"
) -> Callable[[], None]:
    """A function that runs a step; XLA compiles its parts (as the Trainer does on a CPU), the whole step or nothing."""
    keras.utils.set_random_seed(0)
    book = None
    if codes := settings.visual_codes(config.objective):
        dim = 3 * codes.image_tower.patch**2 + 1
        drawn = np.random.default_rng(0).normal(size=(codes.codebook.codes, dim)).astype(np.float32)
        book = Codebook(drawn, np.ones(len(drawn), np.float32), codes.image_tower.patch)
    facts = Run(1000, lambda: np.arange(3, _VOCABULARY), book)
    objective = objectives.create(config.objective, _VOCABULARY, config.runtime, facts)
    optimizer = optimizers.create(config.optimizer, config.schedule, 1000, objective.trainable_variables)
    step = TrainStep(objective, optimizer, collectives.OneDevice(), config)
    rng = np.random.default_rng(0)
    rows = config.batch_size
    batch = {view: tf.constant(rng.integers(0, 256, (rows, 48, 48, 3)), tf.uint8) for view in objective.views.images}
    batch |= {view: tf.constant(rng.integers(0, _VOCABULARY, (rows, 22)), tf.int32) for view in objective.views.texts}
    if objective.views.seeds:
        batch[SEEDS] = tf.constant(rng.integers(0, 2**31, (rows, 2)), tf.int32)
    if objective.views.picture_ids:
        batch[PICTURE_IDS] = tf.range(rows)
    run_step = tf.function(step, jit_compile=compiled == "whole", autograph=False)
    used = siglip.sigmoid_loss
    siglip.sigmoid_loss = loss
    try:
        with compilation.in_parts() if compiled == "parts" else contextlib.nullcontext():
            run_step(batch)
    finally:
        siglip.sigmoid_loss = used
    return lambda: run_step(batch)["loss"].numpy()


def run(rounds: int) -> Iterator[Ratio]:
    """The ratios of step times, each as soon as it is measured."""
    compilation.keep_sums()
    ours, whole = step_of(CONFIG), step_of(CONFIG, compiled="whole")
    rematerialised = dataclasses.replace(CONFIG, runtime=settings.RuntimeSettings(remat="block"))
    others = {
        "parts compiled by XLA / nothing compiled": (ours, step_of(CONFIG, compiled="nothing")),
        "parts compiled by XLA / the whole step": (ours, whole),
        "4 micro-batches / whole batch": (step_of(dataclasses.replace(CONFIG, micro_batches=4)), ours),
        "rematerialised / not": (step_of(rematerialised, compiled="whole"), whole),
    }
    dense = step_of(CONFIG, dense_sigmoid_loss)
    yield ratio("ring loss at N = 1 / dense loss, same step", ours, dense, rounds, limit=1.02)
    for name, (one, baseline) in others.items():
        yield ratio(name, one, baseline, rounds)
