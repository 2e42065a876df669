"""ClipRocket's TPU program, run on 4 replicas of XLA:CPU, trains as one device does on the whole batch.

Nothing here runs on a TPU; see test_traced_step.py.
"""

import pathlib
import re

import numpy as np
import pytest

from tests.tpu import commands, comparison

BATCH = 40  # no other size of the models, so that a tensor over the whole batch would be seen
CASE = {"batch_size": BATCH, "vocabulary_size": 100, "compute_dtype": "float32", "remat": "block", "steps": 3}
OBJECTIVES = ("sigmoid_rocket", "byolip")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("programs")
    replicas = {root / name: {"kind": "model", "replicas": 4, "size": name, "micro_batches": 2, **CASE}
                for name in OBJECTIVES}  # fmt: skip
    alone = {root / f"{name}-alone": {"kind": "one_device", "size": name, **CASE} for name in OBJECTIVES}
    commands.trace({**replicas, **alone})
    commands.run(replicas)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_replicas_train_as_one_device(folder, name):
    """With micro-batches and rematerialisation; statistics and momentum copies are equal on all replicas."""
    ours, alone = (comparison.load(folder / one) for one in (name, f"{name}-alone"))
    assert [key for key in ours if re.search("running_|momentum_", key)]
    comparison.require_equal_replicas(ours)
    comparison.require_same_training(ours, alone, rtol=1e-4, update_rtol=1e-3, atol=1e-6)
    assert np.abs(np.diff(ours["loss"][:, 0])).min() > 1e-3  # the steps do something


def whole_batch(program: pathlib.Path) -> list[str]:
    """Shapes with a dimension of the whole batch."""
    return re.findall(rf"\w+\[(?:\d+,)*{BATCH}(?:,\d+)*\]", (program / "program.hlo.txt").read_text())


@pytest.mark.slow
def test_with_the_ring_no_tensor_spans_the_whole_batch(folder):
    assert not whole_batch(folder / "sigmoid_rocket")
    assert whole_batch(folder / "byolip")  # control: the softmax gathers
