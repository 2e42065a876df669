"""Compares the results of a program on N replicas with those of tests.tpu.cases.one_device."""

import pathlib
import re
from collections.abc import Mapping

import numpy as np

KEY_BIAS = re.compile(r"/key/bias")


def load(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """The results of a program, as tests.tpu.replicas and tests.tpu.cases.one_device write them."""
    return dict(np.load(folder / "results.npz"))


def require_equal_replicas(ours: Mapping[str, np.ndarray]) -> None:
    """Every output and every variable is finite and has the same bits on all replicas."""
    for name, copies in ours.items():
        replica_0 = copies[:1] if name.startswith("variable/") else copies[:, :1]
        assert np.isfinite(copies).all(), name
        assert (copies == replica_0).all(), f"{name} differs between replicas"
    assert (ours["bad_part"] == -1).all()


def require_same_outputs(
    ours: Mapping[str, np.ndarray], alone: Mapping[str, np.ndarray], rtol: float, atol: float = 0.0
) -> None:
    """Every output of every step is that of one device, but `update_norm`; see require_same_training."""
    for name, value in alone.items():
        if not name.startswith(("variable/", "start/")) and name != "update_norm":
            np.testing.assert_allclose(ours[name][:, :1], value, rtol=rtol, atol=atol, err_msg=name)


def require_same_training(
    ours: Mapping[str, np.ndarray], alone: Mapping[str, np.ndarray], rtol: float, atol: float = 0.0
) -> None:
    """The outputs, and the way that every variable went from its first value to its last, are those of one device.

    The softmax of attention does not depend on the biases of keys. Their gradient is a rounding error, and Adafactor
    scales it to an update of full size. So these biases are not compared, nor `update_norm`, which counts them.
    """
    require_same_outputs(ours, alone, rtol, atol)
    ways = {name: _way(name, ours, alone) for name in alone if name.startswith("variable/") and name in ours}
    assert sum(went > 0 for _, went in ways.values()) > len(ways) / 2  # the steps do something
    compared = {name: way for name, way in ways.items() if not KEY_BIAS.search(name)}
    far = {name: off / went for name, (off, went) in compared.items() if off > rtol * went}
    assert not far, f"differences relative to the way: {far}"


def _way(name: str, ours: Mapping[str, np.ndarray], alone: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """The distance between both last values, and that between the first value and the last."""
    start, last = alone[name.replace("variable/", "start/", 1)].astype(np.float64), alone[name].astype(np.float64)
    return float(np.linalg.norm(ours[name][0] - last)), float(np.linalg.norm(last - start))
