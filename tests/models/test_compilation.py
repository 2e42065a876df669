"""A step in parts adds three and more tensors in one order, and each shape of a part is compiled once."""

import contextlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from models import compilation
from tests.models.objectives.test_objectives import OBJECTIVE, batch, untraced_step_of
from tests.models.objectives.toy_objectives import OneTowerSettings

_AT_MOST = 2  # a + b equals b + a


def largest_sum(step, rows) -> int:
    """The most inputs of an AddN in the step's graphs, after TensorFlow's graph optimiser."""
    traced = tf.function(step, autograph=False)
    traced(rows)
    context.enable_run_metadata()
    try:
        traced(rows)
        graphs = context.export_run_metadata()
    finally:
        context.disable_run_metadata()
    most = 0
    for graph in [one.post_optimization_graph for one in graphs.function_graphs]:
        for nodes in [graph.node, *(function.node_def for function in graph.library.function)]:
            for node in nodes:
                if node.op == "AddN":
                    most = max(most, sum(not name.startswith("^") for name in node.input))
    return most


def rows_of(objective) -> dict[str, tf.Tensor]:
    rows, rng = batch(), np.random.default_rng(1)
    for view in objective.views.images:
        rows[view] = rows["images"]
    for view in objective.views.texts:
        rows[view] = rows["token_ids"]
    if objective.views.seeds:
        rows["seeds"] = tf.constant(rng.integers(0, 1 << 30, (len(rows["images"]), 2)), tf.int64)
    return rows


@pytest.mark.parametrize("config", [OBJECTIVE, OneTowerSettings()], ids=["siglip", "one_tower"])
def test_no_sum_of_a_step_depends_on_timing(config):
    objective, step = untraced_step_of(config)
    compilation.keep_sums()
    with compilation.in_parts():
        assert largest_sum(step, rows_of(objective)) <= _AT_MOST


def test_control_outside_parts_a_shared_tower_makes_larger_sums():
    objective, step = untraced_step_of(OneTowerSettings())
    assert largest_sum(step, rows_of(objective)) > _AT_MOST


def test_calls_of_one_shape_share_a_program():
    made = []

    @compilation.part
    def doubled(x: tf.Tensor) -> tf.Tensor:
        made.append(x.shape)
        return 2.0 * x

    @tf.function(autograph=False)
    def run(x: tf.Tensor) -> tf.Tensor:
        for _ in range(5):
            x = doubled(x)
        return x

    with compilation.in_parts():
        np.testing.assert_array_equal(run(tf.ones([3])), 32.0 * np.ones(3))
    assert len(made) == 1


@pytest.mark.slow
def test_two_runs_of_a_small_model_give_equal_weights_beside_other_work():
    with busy_processes():
        first, second = (weights_of_a_small_model(seed=0) for _ in range(2))
        other = weights_of_a_small_model(seed=1)
    assert first == second
    assert first != other


@contextlib.contextmanager
def busy_processes():
    """Two processes that keep the cores busy, so that operations end in another order each time."""
    program = "import numpy as np\nwhile True: np.linalg.svd(np.random.rand(200, 200))"
    running = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def weights_of_a_small_model(seed: int, steps: int = 20) -> str:
    """The hash of the weights of SigLIP S/16 after some steps, in a process of its own."""
    program = f"from tests.models import small_model; print(small_model.trained({seed}, {steps}))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return done.stdout.split()[-1]
