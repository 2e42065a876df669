"""Training on noise: what it changes, what it leaves alone, and that it goes on after an interruption."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.stats

from models import objectives, settings
from models.inputs.tokenizer import Tokenizer
from models.serving import export
from models.settings import configuration
from tests.models.training import noise
from tests.models.training.shapes import (
    CONFIG,
    EXAMPLES,
    OBJECTIVE,
    OBJECTIVES,
    fit,
    interrupted,
    weights,
    write_shards,
)

pytestmark = pytest.mark.slow  # each test trains several models


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> list[str]:
    return write_shards(tmp_path_factory.mktemp("shards"), 3)


def noisy(**changes: object) -> settings.TrainingSettings:
    return dataclasses.replace(CONFIG, corruption=noise.ALL, **changes)


@pytest.fixture(scope="module")
def reference(vocabulary, shards, tmp_path_factory) -> dict[str, np.ndarray]:
    return weights(fit(vocabulary, shards, tmp_path_factory.mktemp("reference"), noisy()))


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


def test_noise_of_0_gives_the_weights_of_no_noise_bit_for_bit(vocabulary, shards, reference, tmp_path):
    clean = weights(fit(vocabulary, shards, tmp_path / "clean", CONFIG))
    none = dataclasses.replace(CONFIG, corruption=settings.CorruptionSettings())
    assert same(clean, weights(fit(vocabulary, shards, tmp_path / "none", none)))
    assert not same(clean, reference)  # control


def test_a_resumed_run_draws_the_same_noise(vocabulary, shards, reference, tmp_path):
    with interrupted(21):
        fit(vocabulary, shards, tmp_path, noisy())
    assert same(reference, weights(fit(vocabulary, shards, tmp_path, noisy())))


def test_micro_batches_give_the_weights_of_the_whole_batch(vocabulary, shards, tmp_path):
    few = {"steps": 4, "schedule": settings.ScheduleSettings("constant", warmup_steps=0)}
    whole = weights(fit(vocabulary, shards, tmp_path / "whole", noisy(**few)))
    micro = weights(fit(vocabulary, shards, tmp_path / "micro", noisy(**few, micro_batches=4)))
    clean = weights(fit(vocabulary, shards, tmp_path / "clean", dataclasses.replace(CONFIG, **few)))
    for name, value in whole.items():
        np.testing.assert_allclose(micro[name], value, atol=3e-4, err_msg=name)  # rounding, through 4 steps of Adam
    assert max(np.abs(clean[name] - value).max() for name, value in whole.items()) > 3e-3  # control


def hits(vocabulary, shards, folder, **corruption: float) -> list[float]:
    """How many of the clean pictures, and of the captions, find their pair among the 10 nearest."""
    config = dataclasses.replace(
        CONFIG,
        steps=180,
        optimizer=settings.AdamWSettings(learning_rate=6e-3),
        schedule=settings.ScheduleSettings("constant", warmup_steps=5),
        logging=settings.LoggingSettings(every=180, held_out_every=180, held_out_rows=len(EXAMPLES)),
        corruption=settings.CorruptionSettings(**corruption),
        cache=True,
    )
    fit(vocabulary, shards, folder, config)
    last = json.loads((folder / "log" / "training_log.jsonl").read_text().splitlines()[-1])
    return [len(EXAMPLES) * last[f"held_out_{way}_recall_at_10"] for way in ("image_to_text", "text_to_image")]


def test_training_on_noise_for_pictures_ends_at_chance(vocabulary, shards, tmp_path):
    low, high = scipy.stats.binom.interval(1 - 1e-6, len(EXAMPLES), 10 / len(EXAMPLES))
    assert all(low <= found <= high for found in hits(vocabulary, shards, tmp_path / "noise", image=1.0))
    assert all(found > high for found in hits(vocabulary, shards, tmp_path / "control", image=0.0))


def test_held_out_rows_stay_clean(vocabulary, shards, tmp_path):
    """No float32 weight moves at this rate, so only noise in the rows could change a number of the log."""
    still = dataclasses.replace(
        CONFIG,
        optimizer=settings.AdamWSettings(learning_rate=1e-30),
        schedule=settings.ScheduleSettings("constant", warmup_steps=0),
        steps=2,
        logging=settings.LoggingSettings(every=2, held_out_every=2, held_out_rows=40),
    )
    logs = []
    for name, corruption in (("clean", None), ("noise", settings.CorruptionSettings(1.0, 1.0))):
        fit(vocabulary, shards, tmp_path / name, dataclasses.replace(still, corruption=corruption))
        logs.append(json.loads((tmp_path / name / "log" / "training_log.jsonl").read_text().splitlines()[-1]))
    clean, noisy_log = logs
    held_out = [name for name in clean if name.startswith("held_out_") and "seconds" not in name]
    assert len(held_out) >= 4
    assert {name: clean[name] for name in held_out} == {name: noisy_log[name] for name in held_out}
    assert clean["loss"] != noisy_log["loss"]  # control: the training rows are not clean


@pytest.mark.parametrize("objective", [*OBJECTIVES, "softmax", "siglit"])
def test_noise_reaches_every_objective(vocabulary, shards, tmp_path, objective):
    made = {
        **OBJECTIVES,
        "softmax": settings.SoftmaxSettings(OBJECTIVE.image_tower, OBJECTIVE.text_tower),
        "siglit": settings.SiglitSettings(OBJECTIVE.image_tower, OBJECTIVE.text_tower),
    }[objective]
    start = None
    if made.locked:
        start = settings.PretrainedSettings(str(tmp_path / "model"), made.locked)
        tokenizer = Tokenizer(vocabulary, OBJECTIVE.text_tower)
        siglip = objectives.create(OBJECTIVE, tokenizer.vocabulary_size)
        export.save(siglip, tokenizer, configuration.to_gin(OBJECTIVE), start.path)
    logs = []
    for name, corruption in (("clean", None), ("noise", settings.CorruptionSettings(0.5, 0.5))):
        config = dataclasses.replace(
            CONFIG, objective=made, steps=1, logging=settings.LoggingSettings(every=1, held_out_every=0),
            schedule=settings.ScheduleSettings("constant", warmup_steps=0), corruption=corruption, pretrained=start,
        )  # fmt: skip
        fit(vocabulary, shards, tmp_path / name, config)
        logs.append(json.loads((tmp_path / name / "log" / "training_log.jsonl").read_text().splitlines()[-1]))
    assert logs[0]["loss"] != logs[1]["loss"]
