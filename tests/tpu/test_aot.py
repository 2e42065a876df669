"""libtpu compiles our training step for TPU v4, and says how much memory it needs. Nothing here runs on a TPU."""

import pathlib

import pytest

from tests.tpu import commands, memory

TINY = {"kind": "model", "replicas": 4, "size": "tiny", "batch_size": 32, "vocabulary_size": 100}
BASE_FITS = ("4096", "8192", "16384-micro-batches")
RECIPES = ("siglit_b8_l", "siglit_g14_l")
BASE_REFUSED = ("4096-nothing", "16384")


def test_a_tiny_model_compiles_with_its_collectives(tmp_path):
    result = memory.measure(tmp_path, {**TINY, "micro_batches": 2, "min_crop": 0.5})
    assert result["permutes"] == 2
    assert result["sums"] >= 1
    assert result["gathers"] == 0
    assert 0 < memory.needed(result) < memory.CHIP


@pytest.mark.slow
def test_memory_of_the_loss_grows_with_replicas_only_when_unrolled(tmp_path):
    cases = {(form, n): tmp_path / f"{form}-{n}" for form in ("loop", "unrolled") for n in (4, 16, 64)}
    commands.trace({path: {"kind": "loss", "replicas": n, "form": form} for (form, n), path in cases.items()})
    results = dict(zip(cases, commands.compile_for_tpu(cases.values()), strict=True))
    kilobytes = {case: result["temporaries"] / 1e3 for case, result in results.items()}
    print(f"temporaries of the loss, kB: {kilobytes}")
    assert max(kilobytes["loop", n] for n in (16, 64)) < 1.05 * kilobytes["loop", 4]
    assert kilobytes["unrolled", 64] > 10 * kilobytes["unrolled", 4]
    assert [results["loop", n]["permutes"] for n in (4, 16, 64)] == [2, 2, 2]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", BASE_FITS)
def test_base_fits_a_v4_chip(tmp_path, name):
    result = that_fits(tmp_path, name)
    assert result["permutes"] == 2
    assert result["gathers"] == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_of_siglit_fits_a_v4_chip(tmp_path, name):
    that_fits(tmp_path, name)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", BASE_REFUSED)
def test_control_base_does_not_fit_without_rematerialisation_or_micro_batches(tmp_path, name):
    assert "RESOURCE_EXHAUSTED" in measured(tmp_path, name)["refused"]


def that_fits(folder: pathlib.Path, name: str) -> dict:
    """What `measured` returns, after it has checked that the program fits a v4 chip."""
    result = measured(folder, name)
    assert "refused" not in result
    assert memory.needed(result) < memory.CHIP
    return result


def measured(folder: pathlib.Path, name: str) -> dict:
    """Compiles the step of a case of memory.CASES, and prints its row of the table."""
    result = memory.measure(folder, memory.CASES[name])
    print(memory.row(name, result))
    return result
