"""Simla's TPU program, run on 4 replicas of XLA:CPU, trains as one device does on the whole batch.

Nothing here runs on a TPU; see test_traced_step.py.
"""

import pathlib
import re

import numpy as np
import pytest

from tests.tpu import commands, comparison

CASE = {"batch_size": 16, "vocabulary_size": 60, "compute_dtype": "float32", "remat": "block", "steps": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("programs")
    replicas = {root / name: {"kind": "model", "replicas": 4, "size": name, **CASE}
                for name in ("simla", "simla_replica")}  # fmt: skip
    alone = {root / "alone": {"kind": "one_device", "size": "simla", **CASE}}
    commands.trace({**replicas, **alone})
    commands.run(replicas)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", ["simla", "simla_replica"])
def test_replicas_stay_equal_and_queues_move(folder, name):
    """Weights, momentum copies, queues, pointer and step count, to the bit."""
    found = comparison.load(folder / name)
    assert [key for key in found if re.search("queues/image|momentum_fusion", key)]
    comparison.require_equal_replicas(found)
    assert int(found["variable/queues/pointer"][0]) == 48
    assert int(found["variable/ramp/step"][0]) == 3


@pytest.mark.slow
def test_negatives_of_the_whole_batch_train_as_one_device(folder):
    ours, alone = (comparison.load(folder / one) for one in ("simla", "alone"))
    comparison.require_same_training(ours, alone, rtol=1e-4, update_rtol=1e-3, atol=1e-6)
    assert np.abs(np.diff(ours["loss"][:, 0])).min() > 1e-3  # the steps do something


@pytest.mark.slow
def test_control_negatives_of_the_replica_do_not(folder):
    ours, alone = (comparison.load(folder / one) for one in ("simla_replica", "alone"))
    assert np.abs(ours["itm_loss"][:, 0] - alone["itm_loss"][:, 0]).max() > 1e-4
    with pytest.raises(AssertionError):
        comparison.require_same_training(ours, alone, rtol=1e-4, update_rtol=1e-3, atol=1e-6)
