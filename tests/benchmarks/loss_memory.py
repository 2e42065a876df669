"""Peak memory of loss and gradients by batch size |B|: ring, the same ring differentiated by TensorFlow, and dense.

python -m tests.benchmarks.loss_memory FORM N B    prints by how many bytes the peak of a process rises
"""

import os
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tests import memory

FORMS = ("ring", "autodiff ring", "dense")
_WIDTH = 128


def _measure(form: str, replicas: int, batch: int) -> int:
    import tensorflow as tf
    from tensorflow.python.distribute import values

    from models import settings
    from models.distribution import strategies
    from models.losses.sigmoid import sigmoid_loss
    from tests.dense_losses import dense_sigmoid_loss
    from tests.devices import make_devices

    make_devices(replicas)
    devices = tuple(f"CPU:{i}" for i in range(replicas))
    made = strategies.create(settings.RuntimeSettings("mirrored", devices))

    def autodiff_ring(image: tf.Tensor, text: tf.Tensor, log_scale: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
        """Leaves the block of each hop to TensorFlow's tape; only the gradient of the pictures is right."""
        total = dense_sigmoid_loss(image, text, log_scale, bias)
        for _ in range(replicas - 1):
            text = made.collectives.permute(text)
            logits = tf.matmul(image, text, transpose_b=True) * tf.exp(log_scale) + bias
            total += tf.reduce_mean(tf.reduce_sum(tf.nn.softplus(logits), axis=-1))
        return total / replicas

    def step(image: tf.Tensor, text: tf.Tensor) -> list[tf.Tensor]:
        scalars = tf.constant(2.3), tf.constant(-10.0)
        with tf.GradientTape() as tape:
            tape.watch([image, text])
            if form == "ring":
                loss = sigmoid_loss(image, text, *scalars, made.collectives)
            elif form == "autodiff ring":
                loss = autodiff_ring(image, text, *scalars)
            else:
                everyone = made.collectives.all_gather(text)
                logits = tf.matmul(image, everyone, transpose_b=True) * tf.exp(scalars[0]) + scalars[1]
                loss = tf.reduce_sum(tf.nn.softplus(logits)) / batch
        return tape.gradient(loss, [image, text])

    run = tf.function(lambda image, text: made.strategy.run(step, args=(image, text)), autograph=False)

    def inputs(rows: int) -> values.PerReplica:
        return values.PerReplica([tf.random.normal([rows, _WIDTH], seed=i) for i in range(replicas)])

    run(inputs(8), inputs(8))  # warm-up: traces, and starts threads
    before = memory.peak_bytes()
    run(inputs(batch // replicas), inputs(batch // replicas))
    return memory.peak_bytes() - before


def run(batches: tuple[int, ...] = (2048, 4096, 8192), replicas: int = 8) -> list[str]:
    """The lines of a table, in MB."""
    lines = [f"peak memory of loss and gradients over {replicas} replicas in one process, MB (width {_WIDTH})"]
    lines.append("|B|".rjust(8) + "".join(form.rjust(16) for form in FORMS))
    for batch in batches:
        sizes = []
        for form in FORMS:
            command = [sys.executable, "-m", "tests.benchmarks.loss_memory", form, str(replicas), str(batch)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            sizes.append(int(done.stdout.split()[-1]) / 1e6)
        lines.append(f"{batch:8d}" + "".join(f"{size:16.0f}" for size in sizes))
    return lines


if __name__ == "__main__":
    print(_measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
