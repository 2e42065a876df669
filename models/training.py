"""The train loop: short, ours, and seeded; one compiled step, a log that people and TensorBoard can read."""

import json
import os
import time
from collections.abc import Callable

import tensorflow as tf
import tf_keras as keras

from models import images, optimizer, settings
from models.objectives import Objective

LOG_FILE = "training_log.jsonl"
_PROGRESS_SECONDS = 5.0


class NotFinite(FloatingPointError):
    """The loss is NaN or infinite; nothing is exported."""


def train(objective: Objective, batches: tf.data.Dataset, config: settings.TrainingSettings, log_dir: str) -> None:
    """Runs `config.steps` steps and writes the log to `log_dir`: TensorBoard events and training_log.jsonl.

    Args:
      objective: updated in place.
      batches: endless {"pixels": uint8 [N, S, S, 3], "token_ids": int32 [N, L]}.
      config: steps, optimiser, augmentation, seed.
      log_dir: made where missing.

    Raises:
      NotFinite: the loss was NaN or infinite at a logged step.
    """
    variables = objective.trainable_variables
    adamw = optimizer.create(config.optimizer, variables, config.steps)
    step_fn = _train_step(objective, adamw, variables, config)
    with _Log(log_dir, config) as log:
        iterator = iter(batches)
        for step in range(config.steps):
            metrics = step_fn(next(iterator), tf.constant(step))
            if step % config.log_every == 0 or step == config.steps - 1:
                values = {name: float(value) for name, value in metrics.items()}
                _require_finite(values["loss"], step)
                log.write(step, values)


def _train_step(
    objective: Objective,
    adamw: keras.optimizers.Optimizer,
    variables: list[tf.Variable],
    config: settings.TrainingSettings,
) -> Callable[..., dict[str, tf.Tensor]]:
    augmentation = config.augmentation
    crops = (augmentation.min_crop, augmentation.max_crop) != (1.0, 1.0)

    @tf.function(reduce_retracing=True)
    def augment(pixels: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        images_in = images.to_unit_range(pixels)
        if not crops:
            return images_in
        seed = tf.stack([config.seed, step])
        return images.random_crop(images_in, augmentation.min_crop, augmentation.max_crop, seed)

    # Compiled for the sake of its weights, too: without XLA, TensorFlow sums three and more gradients of one tensor in
    # the order in which their buffers happen to become free, and two runs of one seed drift apart (measured on CPU).
    @tf.function(jit_compile=config.jit_compile)
    def update(batch_images: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            loss, metrics = objective.loss({"images": batch_images, "token_ids": token_ids})
        # Dense, since the norm of a sparse gradient would count a word that occurs twice as two.
        gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, variables)]
        learning_rate = tf.identity(adamw.learning_rate)
        adamw.apply_gradients(zip(gradients, variables, strict=True))
        norm = tf.linalg.global_norm(gradients)
        return {"loss": loss, "learning_rate": learning_rate, "gradient_norm": norm, **metrics}

    def train_step(batch: dict[str, tf.Tensor], step: tf.Tensor) -> dict[str, tf.Tensor]:
        return update(augment(batch["pixels"], step), batch["token_ids"])

    return train_step


def _require_finite(loss: float, step: int) -> None:
    if loss != loss or abs(loss) == float("inf"):
        raise NotFinite(
            f"the loss is {loss} at step {step}, so training stops and nothing is exported; "
            "lower AdamW.learning_rate or AdamW.clip_norm, or raise AdamW.warmup_steps"
        )


class _Log:
    """Writes each logged step three ways: TensorBoard, one JSON line, and a line of progress on the terminal."""

    def __init__(self, log_dir: str, config: settings.TrainingSettings) -> None:
        tf.io.gfile.makedirs(log_dir)
        self._config = config
        self._events = tf.summary.create_file_writer(log_dir)
        self._lines = tf.io.gfile.GFile(os.path.join(log_dir, LOG_FILE), "w")
        self._lines.write("")  # GFile makes the file at its first write, which 0 steps never reach
        self._start = time.monotonic()
        self._first = (0, self._start)
        self._printed = 0.0

    def __enter__(self) -> "_Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._events.close()
        self._lines.close()

    def write(self, step: int, values: dict[str, float]) -> None:
        now = time.monotonic()
        if step == 0:  # the first step also traces the graph: rates are counted from its end
            self._first = (1, now)
        done, since = step + 1 - self._first[0], now - self._first[1]
        rate = done * self._config.batch_size / since if done else 0.0
        left = (self._config.steps - step - 1) * since / done if done else float("nan")
        with self._events.as_default():
            for name, value in values.items():
                tf.summary.scalar(name, value, step=step)
        row = {"step": step, "seconds": round(now - self._start, 3), "examples_per_second": round(rate, 1), **values}
        self._lines.write(json.dumps(row) + "\n")
        self._lines.flush()
        if now - self._printed > _PROGRESS_SECONDS or step == self._config.steps - 1:
            self._printed = now
            eta = f"{rate:,.0f} examples/s  {left:.0f} s left" if done else "compiled"
            print(f"      step {step + 1}/{self._config.steps}  loss {values['loss']:.3f}  {eta}", flush=True)
