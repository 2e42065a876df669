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
    ours: Mapping[str, np.ndarray], alone: Mapping[str, np.ndarray], rtol: float, update_rtol: float, atol: float = 0.0
) -> None:
    """Every output of every step is that of one device; `update_norm` has a bound of its own."""
    for name, value in alone.items():
        if not name.startswith(("variable/", "start/")):
            near = update_rtol if name == "update_norm" else rtol
            np.testing.assert_allclose(ours[name][:, :1], value, rtol=near, atol=atol, err_msg=name)


def require_same_training(
    ours: Mapping[str, np.ndarray], alone: Mapping[str, np.ndarray], rtol: float, update_rtol: float, atol: float = 0.0
) -> None:
    """The outputs are those of one device, and each variable of the objective went the same way from its first value.

    The distance between both last values is at most `rtol` of the way in the root mean square over the variables, and
    10 rtol for each. Adafactor divides a gradient by its size, so that rounding errors of small gradients grow. Those
    of biases of keys are rounding errors alone, since the softmax of attention does not depend on these biases. So
    these biases are not compared. `update_norm` counts them; it may differ by `update_rtol`.
    """
    require_same_outputs(ours, alone, rtol, update_rtol, atol)
    names = [name for name in alone if name.startswith("variable/") and not KEY_BIAS.search(name)]
    shares = {name: _share(name, ours, alone) for name in names}
    assert sum(share is not None for share in shares.values()) > len(names) / 2  # the steps do something
    moved = {name: share for name, share in shares.items() if share is not None}
    far = {name: f"{share:.2e}" for name, share in moved.items() if share > 10 * rtol}
    assert not far, f"distances as shares of the way: {far}"
    assert np.sqrt(np.mean(np.square(list(moved.values())))) <= rtol, moved


def _share(name: str, ours: Mapping[str, np.ndarray], alone: Mapping[str, np.ndarray]) -> float | None:
    """The distance between both last values as a share of the way; None where nothing moved on either side.

    Replicas have no value of a variable that their step does not read; on one device, it must stay as it is.
    """
    start, last = alone[name.replace("variable/", "start/", 1)].astype(np.float64), alone[name].astype(np.float64)
    distance, way = np.linalg.norm(ours.get(name, [start])[0] - last), np.linalg.norm(last - start)
    return float(distance / way) if way else (float("inf") if distance else None)
