"""Oner's TPU program, run on 4 replicas of XLA:CPU, trains as one device does on the whole batch.

Nothing here runs on a TPU; see test_traced_step.py.
"""

import pathlib
import re

import numpy as np
import pytest

from tests.tpu import commands, comparison

CASE = {"size": "oner", "batch_size": 16, "vocabulary_size": 100, "compute_dtype": "float32", "steps": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    root = tmp_path_factory.mktemp("programs")
    replicas = {root / "oner": {"kind": "model", "replicas": 4, "remat": "block", **CASE}}
    commands.trace({**replicas, root / "alone": {"kind": "one_device", "remat": "nothing", **CASE}})
    commands.run(replicas)
    return root


@pytest.mark.slow
def test_replicas_train_as_one_device(folder):
    """The default terms: masks, a pass of picture and text in one sequence, and a momentum copy."""
    ours, alone = (comparison.load(folder / one) for one in ("oner", "alone"))
    assert any(re.search("momentum_.*steps", key) for key in ours)
    assert {"itc_loss", "cmc_loss", "mim_loss", "mlm_loss", "mmm_loss"} <= set(alone)
    comparison.require_equal_replicas(ours)
    comparison.require_same_training(ours, alone, rtol=1e-4, update_rtol=1e-4, atol=1e-6)
    assert np.abs(np.diff(ours["loss"][:, 0])).min() > 1e-3  # the steps do something
