"""A run tells Oner how many steps it takes: the momentum of each row of its log follows from them."""

import dataclasses
import types

import numpy as np
import pytest

from models import run_fn, settings
from models.settings import configuration
from models.training.log import LOG_FILE
from tests.models.training.shapes import CONFIG, momenta, write_shards

ITC = settings.OnerSettings(
    settings.OneTowerSettings(8, 1, 1, 8, size=24, patch=12, length=4, projection_dim=8),
    **dict.fromkeys(("cmc", "mim", "mlm", "mmm"), 0.0),
)
LOGGING = settings.LoggingSettings(every=1, held_out_every=0)


def test_the_steps_of_run_fn_not_those_of_gin_decide_the_momentum(vocabulary, tmp_path, monkeypatch):
    config = dataclasses.replace(
        CONFIG,
        objective=ITC,
        schedule=settings.ScheduleSettings(warmup_steps=1),
        steps=7,
        batch_size=8,
        logging=LOGGING,
    )
    shards = write_shards(tmp_path / "shards", 1)
    log = tmp_path / "log"
    monkeypatch.setattr(run_fn.export, "save", lambda *_: None)
    run_fn.run_fn(
        types.SimpleNamespace(
            train_files=shards,
            eval_files=shards,
            base_model=None,
            model_run_dir=str(log),
            serving_model_dir=str(tmp_path / "model"),
            custom_config={
                run_fn.GIN_KEY: configuration.to_gin(config),
                run_fn.STEPS_KEY: 3,
                run_fn.VOCABULARY_KEY: vocabulary,
                run_fn.CHECKPOINTS_KEY: str(tmp_path / "checkpoints"),
            },
        )
    )
    found, expected = momenta(log / LOG_FILE, 0.99, steps=3)
    assert len(found) == 3
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-7)
    assert expected == pytest.approx([0.99, 0.9925, 0.9975])
    assert np.abs(np.subtract(found, momenta(log / LOG_FILE, 0.99, steps=7)[1])).max() > 1e-3  # control: gin's
