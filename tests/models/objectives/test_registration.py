"""`register` makes objectives known to `create`, and every registered objective has the logits that export needs."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from models import objectives, settings
from models.objectives.siglip import Siglip
from tests.models.objectives.toy_objectives import Fusion, FusionSettings, OneTower, OneTowerSettings
from tests.models.training.shapes import ONER
from tests.tiny_model import OBJECTIVE

WIDTH = 32


def tiny(settings_class: type[settings.ObjectiveSettings]) -> settings.ObjectiveSettings:
    if issubclass(settings_class, settings.TwoTowersSettings):
        return settings_class(OBJECTIVE.image_tower, OBJECTIVE.text_tower)
    return ONER if settings_class is settings.OnerSettings else settings_class()


def logits_are_affine(objective: objectives.Objective) -> bool:
    """Whether logit = scale * similarity + bias, where scale and bias are computed as export computes them."""
    rng = np.random.default_rng(0)
    image, text = (tf.math.l2_normalize(tf.constant(rng.normal(size=(9, WIDTH)), tf.float32), axis=1) for _ in "it")
    unit = tf.one_hot([0], WIDTH)
    apart = objective.logits(unit, tf.concat([unit, -unit], axis=0))
    scale, bias = (apart[0, 0] - apart[0, 1]) / 2, (apart[0, 0] + apart[0, 1]) / 2
    expected = scale * tf.matmul(image, text, transpose_b=True) + bias
    return np.allclose(objective.logits(image, text), expected, atol=1e-4)


@pytest.mark.parametrize("settings_class", objectives.registered(), ids=lambda one: one.__name__)
def test_logits_are_affine_in_the_similarity(settings_class):
    keras.utils.set_random_seed(0)
    assert logits_are_affine(objectives.create(tiny(settings_class), 64))


@pytest.mark.parametrize(
    "broken",
    [
        lambda objective, image, text: tf.tanh(tf.matmul(image, text, transpose_b=True)),
        lambda objective, image, text: tf.matmul(image[:, :8], text[:, :8], transpose_b=True),
        lambda objective, image, text: tf.matmul(image, text, transpose_b=True) + image[:, :1] ** 2,
    ],
    ids=["a curve", "a part of the embedding", "a bias for each picture"],
)
def test_control_other_logits_fail_the_check(broken, monkeypatch):
    objective = objectives.create(OBJECTIVE, 64)
    assert logits_are_affine(objective)
    monkeypatch.setattr(Siglip, "logits", broken)
    assert not logits_are_affine(objective)


def test_all_objectives_are_registered():
    known = objectives.registered()
    assert set(known) >= {settings.SiglipSettings, settings.SiglitSettings, settings.SoftmaxSettings}
    assert (known[OneTowerSettings], known[FusionSettings]) == (OneTower, Fusion)


def test_settings_without_an_objective_are_refused():
    @dataclasses.dataclass(frozen=True)
    class UnknownSettings(settings.SiglipSettings):
        pass

    with pytest.raises(ValueError, match=r"UnknownSettings has no objective \(registered: .*SiglipSettings.*register"):
        objectives.create(tiny(UnknownSettings), 64)


def test_a_second_objective_for_the_same_settings_is_refused():
    objectives.register(FusionSettings, Fusion)
    with pytest.raises(ValueError, match="FusionSettings is registered for Fusion already; give OneTower its own"):
        objectives.register(FusionSettings, OneTower)
    with pytest.raises(ValueError, match=r"Siglip is no subclass of models\.settings\.ObjectiveSettings; derive it"):
        objectives.register(Siglip, Siglip)
