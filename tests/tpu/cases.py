"""The programs that tests.tpu.trace can write: our TrainStep with our optimisers and losses."""

import pathlib

import numpy as np
import tensorflow as tf
import tf_keras as keras

from models import objectives, optimizers, settings
from models.distribution import topology
from models.distribution.collectives import Collectives, OneDevice, Tpu
from models.losses.sigmoid import sigmoid_loss
from models.objectives.objective import Views
from models.training.step import TrainStep
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
    "base": settings.SiglipSettings(),  # B/16 at 224 px, 64 tokens
}
_BOXES = {4: (2, 2, 1), 8: (2, 2, 2), 16: (2, 2, 4), 64: (4, 4, 4)}


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
    remat: bool = True,
    compute_dtype: str = "bfloat16",
    micro_batches: int = 1,
    min_crop: float = 1.0,
) -> settings.TrainingSettings:
    return settings.TrainingSettings(
        objective=SIZES[size],
        optimizer=settings.AdafactorSettings(),
        schedule=settings.ScheduleSettings(warmup_steps=0),
        runtime=settings.RuntimeSettings(compute_dtype=compute_dtype, remat=remat),
        augmentation=settings.AugmentationSettings(min_crop=min_crop),
        batch_size=batch_size,
        micro_batches=micro_batches,
    )


def _model_step(
    config: settings.TrainingSettings, vocabulary_size: int, collectives: Collectives
) -> tuple[TrainStep, Views, list[tf.Variable]]:
    """The step, the views that it needs, and all variables that it may read."""
    keras.utils.set_random_seed(config.seed)
    objective = objectives.create(config.objective, vocabulary_size, config.runtime)
    trained = optimizers.trainable(config.optimizer, objective.trainable_variables)
    optimizer = optimizers.create(config.optimizer, config.schedule, config.steps, trained)
    step = TrainStep(objective, optimizer, collectives, config)
    return step, objective.views, [*objective.variables, *optimizer.state().values()]


def _random_batch(
    config: settings.TrainingSettings, views: Views, replicas: int, vocabulary_size: int
) -> dict[str, np.ndarray]:
    """[replicas, rows, ...] of each view; the batch is the same for every number of replicas."""
    rng = np.random.default_rng(0)
    count, side, length = config.batch_size, config.objective.image_tower.size, config.objective.text_tower.length
    rows = {view: rng.integers(0, 256, (count, side, side, 3)).astype(np.uint8) for view in views.images}
    rows |= {view: rng.integers(0, vocabulary_size, (count, length)).astype(np.int32) for view in views.texts}
    return {view: values.reshape(replicas, count // replicas, *values.shape[1:]) for view, values in rows.items()}


def model(folder: pathlib.Path, replicas: int, vocabulary_size: int = 32_000, steps: int = 0, **sizes: object) -> None:
    """A step of an objective of SIZES with Adafactor; with `steps` = 0, the program is only compiled."""
    strategy, config = fake_tpu_strategy(replicas), _model_config(replicas, **sizes)
    with strategy.scope():
        step, views, variables = _model_step(config, vocabulary_size, Tpu(ring(replicas)))
    names = [*views.images, *views.texts]

    def run(*rows: tf.Tensor) -> dict[str, tf.Tensor]:
        return step(dict(zip(names, rows, strict=True)))

    rows, image, text = config.batch_size // replicas, config.objective.image_tower, config.objective.text_tower
    specs = [tf.TensorSpec([rows, image.size, image.size, 3], tf.uint8)] * len(views.images)
    specs += [tf.TensorSpec([rows, text.length], tf.int32)] * len(views.texts)
    drawn = _random_batch(config, views, replicas, vocabulary_size) if steps else {}
    write_program(folder, strategy, run, [drawn[name] for name in names] if steps else specs, variables, steps)


def one_device(folder: pathlib.Path, vocabulary_size: int, steps: int, **sizes: object) -> None:
    """Trains the same model as `model` here, the whole batch on one device, and writes results.npz."""
    config = _model_config(1, **sizes)
    step, views, _ = _model_step(config, vocabulary_size, OneDevice())
    batch = {view: tf.constant(rows[0]) for view, rows in _random_batch(config, views, 1, vocabulary_size).items()}
    compiled = tf.function(step, jit_compile=True, autograph=False)
    scalars = [compiled(batch) for _ in range(steps)]
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: np.stack([[row[name].numpy()] for row in scalars]) for name in scalars[0]}
    np.savez(folder / "results.npz", **found)


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
