"""The programs that tests.tpu.trace can write: our TrainStep with our optimisers and losses."""

import dataclasses
import pathlib

import numpy as np
import tensorflow as tf
import tf_keras as keras

from models import objectives, optimizers, settings
from models.distribution import topology
from models.distribution.collectives import Collectives, OneDevice, Tpu
from models.features import IMAGE_EMBEDDING
from models.losses.sigmoid import sigmoid_loss
from models.objectives import Objective
from models.objectives.objective import PICTURE_IDS, SEEDS, Run, Views
from models.optimizers import parameters
from models.training.step import TrainStep
from tests.models.towers import abstract_step
from tests.models.training.noise import corruption, rows_of
from tests.models.training.shapes import SIMLA, codebook
from tests.tiny_model import OBJECTIVE
from tests.tpu import linear, reference
from tests.tpu.extract import collective_permute
from tests.tpu.fake_strategy import fake_tpu_strategy
from tests.tpu.program import write_compiled, write_program

_ROCKET = {"projection_dim": 16, "local_hidden": 24}
_BYOLIP = settings.ByolipSettings(projector=(24, 16), predictor=(24, 16), momentum=0.9)
SIZES = {
    "tiny": OBJECTIVE,
    "sigmoid_rocket": settings.ClipRocketSettings(
        OBJECTIVE.image_tower, OBJECTIVE.text_tower, contrast="sigmoid", label_smoothing=0.0, **_ROCKET
    ),
    "byolip": settings.ClipRocketSettings(OBJECTIVE.image_tower, OBJECTIVE.text_tower, terms=(_BYOLIP,), **_ROCKET),
    "oner": settings.OnerSettings(
        settings.OneTowerSettings(32, 1, 2, 64, size=24, patch=8, length=12, projection_dim=16)
    ),
    "simla": SIMLA,
    "simla_replica": dataclasses.replace(SIMLA, negatives="replica"),
    "base": settings.SiglipSettings(),  # B/16 at 224 px, 64 tokens
    "siglit": settings.SiglitSettings(precomputed=True),  # the same towers, on stored embeddings
}
_BOXES = {4: (2, 2, 1), 8: (2, 2, 2), 16: (2, 2, 4), 64: (4, 4, 4), 256: (4, 8, 8)}


def ring(replicas: int) -> list[int]:
    """The ring order of the chips of a box."""
    return topology.ring_order([(*chip, 0) for chip in np.ndindex(_BOXES.get(replicas, (replicas, 1, 1)))])


def linear_step(
    folder: pathlib.Path,
    replicas: int,
    form: str,
    dtype: str,
    loss: str = "sigmoid",
    micro_batches: int = 1,
    broken: str = "",
) -> None:
    """A step of two linear towers with AdamW and clipping; the gradients are among its outputs."""
    strategy = fake_tpu_strategy(replicas)
    config = settings.TrainingSettings(
        optimizer=settings.AdamWSettings(
            learning_rate=reference.RATE,
            weight_decay=reference.DECAY,
            beta_1=reference.BETA_1,
            beta_2=reference.BETA_2,
            epsilon=reference.EPSILON,
            clip_norm=reference.CLIP,
        ),
        schedule=settings.ScheduleSettings("constant", warmup_steps=0),
        batch_size=replicas * reference.ROWS,
        micro_batches=micro_batches,
    )
    with strategy.scope():
        objective = linear.Linear(dtype, loss, broken)
        variables = objective.trainable_variables
        optimizer = optimizers.create(config.optimizer, config.schedule, config.steps, variables)
    recorder = linear.Recorder(optimizer)
    step = TrainStep(objective, recorder, linear.Collective(ring(replicas), form, broken), config)

    def run(pixels: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        scalars = step({"images": pixels, "token_ids": token_ids})
        gradients = {f"gradient/{v.name.split(':')[0]}": g for v, g in zip(variables, recorder.gradients, strict=True)}
        return {**scalars, **gradients}

    everything = [*variables, *optimizer.state().values()]
    write_program(folder, strategy, run, linear.batch(replicas), everything, reference.STEPS)


def _model_config(
    replicas: int,
    batch_size: int,
    size: str,
    remat: str = "block",
    compute_dtype: str = "bfloat16",
    micro_batches: int = 1,
    min_crop: float = 1.0,
) -> settings.TrainingSettings:
    objective = SIZES[size]
    return settings.TrainingSettings(
        objective=objective,
        pretrained=settings.PretrainedSettings(path="tower", parts=objective.locked) if objective.locked else None,
        optimizer=settings.AdafactorSettings(),
        schedule=settings.ScheduleSettings(warmup_steps=0),
        runtime=settings.RuntimeSettings(compute_dtype=compute_dtype, remat=remat),
        augmentation=settings.AugmentationSettings(min_crop=min_crop),
        batch_size=batch_size,
        micro_batches=micro_batches,
    )


def _model_step(
    config: settings.TrainingSettings, vocabulary_size: int, collectives: Collectives
) -> tuple[Objective, TrainStep, list[tf.Variable]]:
    """The objective, its step, and all variables that the step may read."""
    keras.utils.set_random_seed(config.seed)
    run = Run(config.steps, lambda: np.arange(3, vocabulary_size), codebook())
    objective = objectives.create(config.objective, vocabulary_size, config.runtime, run)
    trained = optimizers.trainable(config.optimizer, objective.trainable_variables)
    optimizer = optimizers.create(config.optimizer, config.schedule, config.steps, trained)
    step = TrainStep(objective, optimizer, collectives, config)
    return objective, step, [*objective.variables, *optimizer.state().values()]


def _random_batch(
    config: settings.TrainingSettings, views: Views, replicas: int, vocabulary_size: int
) -> dict[str, np.ndarray]:
    """[replicas, rows, ...] of each view; the batch is the same for every number of replicas."""
    rng = np.random.default_rng(0)
    count, side, length = config.batch_size, config.objective.image_input.size, config.objective.text_input.length
    rows = {view: rng.integers(0, 256, (count, side, side, 3)).astype(np.uint8) for view in views.images}
    rows |= {view: rng.integers(0, vocabulary_size, (count, length)).astype(np.int32) for view in views.texts}
    if views.seeds:
        rows[SEEDS] = rng.integers(-(2**31), 2**31, (count, 2)).astype(np.int32)
    if views.picture_ids:
        rows[PICTURE_IDS] = np.arange(count, dtype=np.int32)
    return {view: values.reshape(replicas, count // replicas, *values.shape[1:]) for view, values in rows.items()}


def model(folder: pathlib.Path, replicas: int, vocabulary_size: int = 32_000, steps: int = 0, **sizes: object) -> None:
    """A step of an objective of SIZES with Adafactor; with `steps` = 0, the program is only compiled."""
    _write_model(folder, replicas, _model_config(replicas, **sizes), vocabulary_size, steps)


def recipe(folder: pathlib.Path, replicas: int, name: str) -> None:
    """A step of gin/recipe/NAME.gin with its own batch, only compiled."""
    made = abstract_step.load_recipe(name)
    _write_model(folder, replicas, made.training, made.vocabulary.size, 0)


def _write_model(
    folder: pathlib.Path, replicas: int, config: settings.TrainingSettings, vocabulary_size: int, steps: int
) -> None:
    strategy = fake_tpu_strategy(replicas)
    with strategy.scope():
        objective, step, variables = _model_step(config, vocabulary_size, Tpu(ring(replicas)))
    views, image, text = objective.views, config.objective.image_input, config.objective.text_input
    pixels = tf.TensorSpec([step.rows, image.size, image.size, 3], tf.uint8)
    specs = dict.fromkeys(views.images, pixels)
    specs |= dict.fromkeys(views.texts, tf.TensorSpec([step.rows, text.length], tf.int32))
    if views.seeds:
        specs[SEEDS] = tf.TensorSpec([step.rows, 2], tf.int32)
    if views.picture_ids:
        specs[PICTURE_IDS] = tf.TensorSpec([step.rows], tf.int32)
    if views.image_embedding:
        specs[IMAGE_EMBEDDING] = tf.TensorSpec([step.rows, views.image_embedding])

    def run(*rows: tf.Tensor) -> dict[str, tf.Tensor]:
        return step(dict(zip(specs, rows, strict=True)))

    drawn = _random_batch(config, views, replicas, vocabulary_size) if steps else specs
    arguments, model_flops = [drawn[name] for name in specs], objective.step_flops(config.batch_size)
    write_program(folder, strategy, run, arguments, variables, steps, flops=model_flops)


def noise(folder: pathlib.Path, replicas: int, count: int) -> None:
    """Only the noise of tests.models.training.noise, in the rows of a batch."""
    strategy, corrupt = fake_tpu_strategy(replicas), corruption(collectives=Tpu(ring(replicas)))
    rows = rows_of(count)

    def run(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return corrupt(dict(zip(rows, tensors, strict=True)))

    arguments = [value.reshape(replicas, count // replicas, *value.shape[1:]) for value in rows.values()]
    write_program(folder, strategy, run, arguments, [], steps=1)


def one_device(folder: pathlib.Path, vocabulary_size: int, steps: int, **sizes: object) -> None:
    """Trains the same model as `model` here, the whole batch on one device, and writes results.npz.

    It has the outputs, [steps, 1, ...], and of each variable of the objective (not of the optimiser, whose state may be
    bfloat16) the first value, "start/<name>", and the last, "variable/<name>".
    """
    config = _model_config(1, **sizes)
    objective, step, _ = _model_step(config, vocabulary_size, OneDevice())
    start = {f"start/{parameters.name(variable)}": variable.numpy() for variable in objective.variables}
    drawn = _random_batch(config, objective.views, 1, vocabulary_size)
    batch = {view: tf.constant(rows[0]) for view, rows in drawn.items()}
    compiled = tf.function(step, jit_compile=True, autograph=False)
    scalars = [compiled(batch) for _ in range(steps)]
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: np.stack([[row[name].numpy()] for row in scalars]) for name in scalars[0]}
    last = {f"variable/{parameters.name(variable)}": variable.numpy() for variable in objective.variables}
    np.savez(folder / "results.npz", **found, **start, **last)


def loss(folder: pathlib.Path, replicas: int, form: str, rows: int = 256, width: int = 128) -> None:
    """Only the sigmoid loss and its gradients."""

    class Permute(Tpu):
        def permute(self, tensor: tf.Tensor) -> tf.Tensor:
            return collective_permute(tensor, self.pairs)

    collectives = Permute(ring(replicas))
    collectives.form = form

    def loss_and_gradients(*inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            share = sigmoid_loss(*inputs, collectives)
        return [share, *tape.gradient(share, inputs)]

    specs = [tf.TensorSpec([rows, width])] * 2 + [tf.TensorSpec([])] * 2
    write_compiled(folder, replicas, loss_and_gradients, specs)
