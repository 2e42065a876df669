"""Runs the program of a TPU on N replicas of XLA:CPU, with its collectives; compares it with NumPy and one device.

Nothing here runs on a TPU. TPUStrategy traces the program: our TrainStep, losses and optimisers.
"""

import itertools
import json
import pathlib
import re

import numpy as np
import pytest

from tests.models.training.noise import with_noise
from tests.tpu import commands, comparison, reference

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
FLOAT32 = ("gradient_norm", "learning_rate", "update_norm")  # outputs that are always float32
FORMS = ("loop", "unrolled")


def linear(replicas: int, form: str, dtype: str, **more: object) -> dict[str, object]:
    return {"kind": "linear_step", "replicas": replicas, "form": form, "dtype": dtype, **more}


WHOLE = {f"4-{f}-{d}": linear(4, f, d) for f, d in itertools.product(FORMS, TOLERANCE)}
FEW = {f"{n}-loop-float64": linear(n, "loop", "float64") for n in (1, 2, 3)}
FEW["8-loop-float32"] = linear(8, "loop", "float32")
MICRO = {"micro-batches": linear(4, "loop", "float64", micro_batches=reference.ROWS)}
SOFTMAX = {"4-softmax": linear(4, "loop", "float32", loss="softmax")}
MASKED = {f"4-{kind}": linear(4, "loop", "float32", loss=kind) for kind in ("random", "hard", "easy")}
BROKEN = {
    "reversed_gradient": linear(4, "loop", "float64", broken="reversed_gradient"),
    "missing_hop": linear(4, "unrolled", "float64", broken="missing_hop"),
    "local_scaling": linear(4, "loop", "float64", broken="local_scaling"),
    "scaled_gradient": linear(4, "loop", "float64", broken="scaled_gradient"),
    "own_counts": linear(4, "loop", "float32", loss="hard", broken="own_counts"),
}
MODEL = {
    "size": "tiny",
    "batch_size": 32,
    "vocabulary_size": 100,
    "remat": "block",
    "micro_batches": 2,
    "min_crop": 0.5,
    "steps": 3,
}
MODEL_DTYPES = ("float32", "bfloat16")
MODELS = {f"model-{d}": {"kind": "model", "replicas": 4, "compute_dtype": d, **MODEL} for d in MODEL_DTYPES}
NOISE = {"noise": {"kind": "noise", "replicas": 4, "count": 40}}
WHOLE_BATCH = {"one_device": {"kind": "one_device", **MODEL, "compute_dtype": "float32", "micro_batches": 1}}
RUN = {**WHOLE, **FEW, **MICRO, **SOFTMAX, **MASKED, **BROKEN, **NOISE}
SLOW = (
    "4-loop-float64",
    "4-unrolled-float64",
    "1-loop-float64",
    "2-loop-float64",
    "8-loop-float32",
    "4-random",
    "4-easy",
)


def marked(*names: str) -> list:
    """The names of cases as parameters; those of SLOW are of slow tests."""
    return [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in names]


class Programs:
    """The programs and results of cases. One TensorFlow process and one jax process make all that are not slow."""

    def __init__(self, root: pathlib.Path) -> None:
        self._root = root

    def __truediv__(self, name: str) -> pathlib.Path:
        """The folder of a case; a case of SLOW is made with the others of SLOW."""
        if not (self._root / name).exists():
            made = [one for one in RUN if (one in SLOW) == (name in SLOW)]
            commands.trace({self._root / one: RUN[one] for one in made})
            commands.run(self._root / one for one in made)
        return self._root / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Programs:
    return Programs(tmp_path_factory.mktemp("programs"))


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> pathlib.Path:
    """The same of the whole model, which XLA:CPU compiles for minutes."""
    root = tmp_path_factory.mktemp("models")
    commands.trace({root / name: case for name, case in {**MODELS, **WHOLE_BATCH}.items()})
    commands.run(root / name for name in MODELS)
    return root


def errors(folder: Programs, name: str) -> dict[str, float]:
    case = RUN[name]
    return reference.errors(
        comparison.load(folder / name), reference.train(case["replicas"], case.get("loss", "sigmoid"))
    )


@pytest.mark.parametrize("name", marked(*WHOLE, *FEW, *MICRO, *SOFTMAX, *MASKED))
def test_every_replica_equals_the_dense_reference_in_loss_gradients_moments_and_weights(folder, name):
    found = errors(folder, name)
    assert {"loss", "gradient", "moment", "weight"} <= set(found)
    tolerance = TOLERANCE[RUN[name]["dtype"]]
    wrong = {g: e for g, e in found.items() if e > (TOLERANCE["float32"] if g in FLOAT32 else tolerance)}
    assert not wrong


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("reversed_gradient", "gradient"),
        ("reversed_gradient", "weight"),
        ("missing_hop", "gradient"),
        ("missing_hop", "weight"),
        ("local_scaling", "loss"),
        ("scaled_gradient", "gradient"),
        ("own_counts", "gradient"),
        ("own_counts", "kept_negative_logit"),
    ],
)
def test_control_a_broken_step_differs(folder, name, group):
    assert errors(folder, name)[group] > 1e-3


def test_control_weights_alone_do_not_show_gradients_that_are_n_times_too_large(folder):
    """Clipping and Adam cancel the factor, so the tests compare gradients, too."""
    found = errors(folder, "scaled_gradient")
    assert found["weight"] < 1e-12
    assert found["loss"] < 1e-12


@pytest.mark.parametrize("name", marked("4-loop-float32", "4-unrolled-float32", "8-loop-float32"))
def test_the_program_has_the_expected_hops_and_no_tensor_of_the_whole_batch(folder, name):
    program, replicas, form = folder / name, RUN[name]["replicas"], RUN[name]["form"]
    ops = json.loads((program / "program.json").read_text())["ops"]
    assert ops["CollectivePermute"] == (2 if form == "loop" else 2 * replicas - 1)
    assert not [op for op in ops if re.search("AllToAll|AllGather|CollectiveGather", op)]
    hlo = (program / "program.hlo.txt").read_text()
    assert "all-gather" not in hlo
    assert "all-to-all" not in hlo
    assert len(re.findall(r" collective-permute\(", hlo)) == ops["CollectivePermute"]
    rows = reference.ROWS
    assert re.search(rf"f32\[{rows},{rows}\]", hlo)
    assert not re.findall(rf"\w+\[(?:\d+,)*{replicas * rows}(?:,\d+)*\]", hlo)


@pytest.mark.parametrize("name", marked(*MASKED))
def test_a_choice_of_negatives_holds_a_replicas_rows_against_all_and_never_all_pairs(folder, name):
    hlo = (folder / name / "program.hlo.txt").read_text()
    rows, batch = reference.ROWS, RUN[name]["replicas"] * reference.ROWS
    assert re.search(rf"f32\[(?:\d+,)*{rows},{batch}\]", hlo)
    assert not re.findall(rf"\w+\[(?:\d+,)*{batch},{batch}\]", hlo)


def test_replicas_see_the_noise_that_one_device_sees(folder):
    found, expected = comparison.load(folder / "noise"), with_noise(NOISE["noise"]["count"])
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name].reshape(value.shape), value, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", MODEL_DTYPES)
def test_the_model_trains_on_replicas_as_on_one_device(models, dtype):
    """Compares SigLIP with Adafactor, rematerialisation, micro-batches and crops with float32 on the whole batch."""
    ours, alone = (comparison.load(models / name) for name in (f"model-{dtype}", "one_device"))
    comparison.require_equal_replicas(ours)
    if dtype == "float32":
        comparison.require_same_training(ours, alone, rtol=1e-4, update_rtol=1e-3)
    else:
        comparison.require_same_outputs(ours, alone, rtol=5e-2, update_rtol=0.5)
    assert (np.diff(ours["loss"][:, 0]) < 0).all()
