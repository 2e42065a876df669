"""Oner's TPU program, run on 4 replicas of XLA:CPU, trains as one device does on the whole batch.

Nothing here runs on a TPU; see test_traced_step.py.
"""

import pathlib

import numpy as np
import pytest

from tests.tpu import commands

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
    ours, expected = (dict(np.load(folder / one / "results.npz")) for one in ("oner", "alone"))
    state = [key for key in ours if "momentum_" in key]
    assert any("steps" in key for key in state)
    for key, copies in ours.items():
        replica_0 = copies[:1] if key.startswith("variable/") else copies[:, :1]
        assert np.isfinite(copies).all(), key
        assert (copies == replica_0).all(), f"{key} differs between replicas"
    assert {"itc_loss", "cmc_loss", "mim_loss", "mlm_loss", "mmm_loss"} <= set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(ours[key][:, :1], value, rtol=1e-4, atol=1e-6, err_msg=key)
    assert (ours["bad_part"] == -1).all()
    assert np.abs(np.diff(ours["loss"][:, 0])).min() > 1e-3  # the steps do something
