"""Noise has the stated distribution, does not depend on devices or restarts, and leaves what it does not hit alone."""

import dataclasses
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats

from models import settings
from models.distribution.collectives import OneDevice
from models.inputs.tokenizer import Tokenizer
from models.objectives.objective import SEEDS
from models.training.corruption import Corruption
from tests.models.training import noise
from tests.models.training.noise import END, LENGTH, PAD, WORDS, rows_of, with_noise
from tests.models.training.shapes import CONFIG, OBJECTIVE

ROWS = 10_000
IMAGE, TEXT = settings.CorruptionSettings(image=0.3), settings.CorruptionSettings(text=0.3)
ALIGNMENT = settings.CorruptionSettings(alignment=0.3)
PRECOMPUTED = settings.SiglitSettings(OBJECTIVE.image_tower, OBJECTIVE.text_tower, precomputed=True)


def assert_share(hits: int, count: int, probability: float) -> None:
    """Fails for one right share in a million."""
    low, high = scipy.stats.binom.interval(1 - 1e-6, count, probability)
    assert low <= hits <= high


def assert_uniform(numbers: np.ndarray, values: np.ndarray) -> None:
    counts = [(numbers == value).sum() for value in values]
    assert sum(counts) == numbers.size
    assert scipy.stats.chisquare(counts).pvalue > 1e-6


def changed(found: dict[str, np.ndarray], name: str) -> np.ndarray:
    """bool [N], the rows whose feature is not as it was."""
    before = rows_of(len(found[name]))[name]
    return (found[name] != before).reshape(len(before), -1).any(axis=1)


def test_pictures_become_uniform_noise_in_all_views_of_the_row():
    found = with_noise(ROWS, IMAGE)
    hit = changed(found, "images")
    assert_share(hit.sum(), ROWS, 0.3)
    assert_uniform(found["images"][hit], np.arange(256))
    np.testing.assert_array_equal(found["small"], found["images"])
    assert not changed(found, "token_ids").any()
    assert len(np.unique(found["images"][hit].reshape(hit.sum(), -1), axis=0)) == hit.sum()


def test_captions_become_random_pieces_of_random_length_and_end_as_captions_do():
    found = with_noise(ROWS, TEXT)
    hit = changed(found, "token_ids")
    assert_share(hit.sum(), ROWS, 0.3)
    texts = found["token_ids"][hit]
    np.testing.assert_array_equal(found["others"][hit], texts)
    lengths = (texts == END).argmax(axis=1)
    assert_uniform(lengths, np.arange(1, LENGTH))
    place = np.arange(LENGTH)[None]
    assert (texts[place > lengths[:, None]] == PAD).all()
    assert_uniform(texts[place < lengths[:, None]], WORDS)
    assert not changed(found, "images").any()


def test_noise_in_pictures_and_captions_is_independent():
    found = with_noise(ROWS, settings.CorruptionSettings(image=0.3, text=0.3))
    both = changed(found, "images") & changed(found, "token_ids")
    assert_share(both.sum(), ROWS, 0.09)


def test_a_fixed_share_of_the_rows_passes_its_captions_on_in_one_cycle():
    found = with_noise(ROWS, ALIGNMENT)
    source = found["token_ids"][:, 0] - 1000  # the row that the captions are from
    np.testing.assert_array_equal(found["others"], found["token_ids"] + 1_000_000)
    moved = np.flatnonzero(source != np.arange(ROWS))
    assert len(moved) == 3000
    np.testing.assert_array_equal(np.sort(source), np.arange(ROWS))
    row, cycle = moved[0], 0
    while cycle == 0 or row != moved[0]:
        row, cycle = source[row], cycle + 1
    assert cycle == 3000
    assert not changed(found, "images").any()


def test_each_step_passes_on_the_captions_of_other_rows():
    steps = [changed(with_noise(20, ALIGNMENT, seed), "token_ids") for seed in range(500)]
    assert {step.sum() for step in steps} == {6}
    for hits in np.sum(steps, axis=0):
        assert_share(hits, 500, 0.3)


def test_noise_of_1_hits_every_row_and_too_few_rows_for_a_cycle_stay():
    found = with_noise(200, settings.CorruptionSettings(1.0, 1.0, 1.0))
    assert changed(found, "images").all()
    assert changed(found, "token_ids").all()
    assert not changed(with_noise(4, settings.CorruptionSettings(alignment=0.3)), "token_ids").any()


def test_seeds_go_on_only_to_an_objective_that_asks_for_them():
    assert set(with_noise(4)) == set(rows_of(4)) - {SEEDS}
    asking = dataclasses.replace(noise.VIEWS, seeds=True)
    corruption = Corruption(noise.ALL, asking, noise.TOKENIZER, OneDevice())
    np.testing.assert_array_equal(corruption(rows_of(4))[SEEDS], rows_of(4)[SEEDS])


@pytest.mark.parametrize("replicas", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_replicas_see_the_rows_that_one_device_sees(replicas, tmp_path):
    command = [sys.executable, "-m", "tests.models.training.noise", str(replicas), str(tmp_path / "rows.npz")]
    subprocess.run(command, cwd=pathlib.Path(__file__).parents[3], check=True, capture_output=True)
    found, expected = np.load(tmp_path / "rows.npz"), with_noise(40)
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert changed(expected, "images").any()
    assert changed(expected, "token_ids").any()


def test_random_captions_have_no_control_and_no_unknown_piece(vocabulary):
    tokenizer = Tokenizer(vocabulary, OBJECTIVE.text_tower)
    ids = tokenizer.text_ids()
    assert ids.dtype == np.int32
    assert sorted({*range(tokenizer.vocabulary_size)} - {*ids.tolist()}) == [0, 1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corruption": {"image": 1.5}}, r"Corruption.image is 1.5, but must be in \[0, 1\]"),
        ({"corruption": {"text": -0.1}}, r"Corruption.text is -0.1, but must be in \[0, 1\]"),
        ({"corruption": {"alignment": 2.0}}, r"Corruption.alignment is 2.0, but must be in \[0, 1\]"),
        (
            {
                "corruption": {"image": 0.5},
                "objective": PRECOMPUTED,
                "pretrained": settings.PretrainedSettings("x", ("image_tower",)),
                "augmentation": settings.AugmentationSettings(),
            },
            r"Corruption.image is 0.5, but must be 0, .*; set Siglit.precomputed = False, or remove the noise",
        ),
        (
            {
                "corruption": {"text": 0.5},
                "objective": dataclasses.replace(
                    OBJECTIVE, text_tower=dataclasses.replace(OBJECTIVE.text_tower, length=1)
                ),
            },
            r"Corruption.text is 0.5, but must be 0 for texts of one token",
        ),
    ],
)
def test_unusable_noise_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        unusable(**changes)


def unusable(corruption: dict[str, float], **changes: object) -> settings.TrainingSettings:
    return dataclasses.replace(CONFIG, corruption=settings.CorruptionSettings(**corruption), **changes)
