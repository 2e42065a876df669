"""Known cases of Oner, its momentum copy against NumPy, and what it refuses."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from models import objectives, settings
from models.distribution.collectives import OneDevice
from models.objectives.objective import Run
from models.objectives.training_only import exported_variables
from models.optimizers.parameters import name
from tests.models.objectives import oners
from tests.models.objectives.oners import CONFIGS, STEPS, TEXT_IDS, TOWER, VOCABULARY

ROWS = 5


def unit(x: np.ndarray) -> tf.Tensor:
    return tf.math.l2_normalize(tf.constant(x), axis=-1)


def drawn(*names: str, seed: int = 0) -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(seed)
    return {one: unit(rng.normal(size=(ROWS, 3))) for one in names}


def loss(case: str, encoded: dict[str, tf.Tensor]) -> float:
    return float(oners.made(CONFIGS[case]).loss(encoded, OneDevice())[0])


def test_equal_keys_make_xmc_equal_itc():
    encoded = drawn("image", "text", "key_image")
    same = {**encoded, "key_text": encoded["key_image"]}
    assert loss("xmc", same) == pytest.approx(loss("itc", same), rel=1e-12)
    other = {**encoded, **drawn("key_text", seed=1)}
    assert abs(loss("xmc", other) / loss("itc", other) - 1) > 1e-3  # control


def test_the_own_tokens_as_context_make_cic_the_contrast_of_the_mean_of_both_alone(monkeypatch):
    objective, batch = oners.made(CONFIGS["cic"]), oners.batch(ROWS)
    mixed = oners.made(CONFIGS["mixed"]).loss

    def of_mixed() -> float:
        alone = oners.made(CONFIGS["mixed"]).encode(batch)
        return float(mixed(alone, OneDevice())[0])

    crossed = float(objective.loss(objective.encode(batch), OneDevice())[0])
    assert abs(crossed / of_mixed() - 1) > 1e-4  # control
    encoder = objective.tower.encoder
    usual = encoder.cross

    def over_itself(one, other, one_mask, other_mask, training):
        whole = usual(one, one, one_mask, one_mask, training), usual(other, other, other_mask, other_mask, training)
        return whole[0][0], whole[1][0]

    monkeypatch.setattr(encoder, "cross", over_itself)
    assert float(objective.loss(objective.encode(batch), OneDevice())[0]) == pytest.approx(of_mixed(), rel=1e-10)


def test_masked_terms_alone_have_no_momentum_copy():
    objective = oners.made(CONFIGS["mim"])
    assert objective.state == []
    assert set(objective.views.images) == {"images"}
    assert not any("momentum" in variable.name for variable in objective.variables)
    itc = oners.made(CONFIGS["itc"])
    assert set(itc.views.images) == {"images", "momentum_images"}
    assert not itc.views.seeds
    assert oners.made(CONFIGS["mlm"]).views.seeds


def test_only_the_tower_and_the_scalars_are_exported():
    objective = oners.made(CONFIGS["sigmoid"])
    assert {name(variable).split("/")[0] for variable in exported_variables(objective)} == {
        "one_tower", "log_scale", "bias",
    }  # fmt: skip
    everything = oners.made(dataclasses.replace(CONFIGS["all"], predictor=True))
    kept = {name(variable).split("/")[0] for variable in everything.training_only.variables}
    assert kept == {"momentum_tower", "momentum_steps", "predictor", "word_head", "patch_head"}
    assert not any("momentum" in variable.name for variable in everything.trainable_variables)


def test_thirty_steps_of_the_momentum_copy_equal_numpy():
    """From m_0 to 1 along half a cosine over the steps of the run; the count of steps is part of the state."""
    objective, rng = oners.made(CONFIGS["itc"]), np.random.default_rng(0)
    copies = {name(v).removeprefix("momentum_tower/"): v for v in objective.state[:-1]}
    trained = {name(v).removeprefix("one_tower/"): v for v in objective.tower.variables}
    assert set(copies) == set(trained)
    expected = {key: value.numpy() for key, value in copies.items()}
    constant = dict(expected)  # control
    for step in range(STEPS):
        for variable in trained.values():
            variable.assign(rng.normal(size=variable.shape))
        m = 1 - (1 - 0.99) * (1 + math.cos(math.pi * step / STEPS)) / 2
        expected = {key: m * value + (1 - m) * trained[key].numpy() for key, value in expected.items()}
        constant = {key: 0.99 * value + 0.01 * trained[key].numpy() for key, value in constant.items()}
        objective.after_update({}, OneDevice())
    for key, variable in copies.items():
        np.testing.assert_allclose(variable, expected[key], atol=1e-10, err_msg=key)
    assert max(np.abs(copies[key].numpy() - value).max() for key, value in constant.items()) > 1e-3
    assert int(objective.state[-1]) == STEPS
    assert float(objective._parts().copy.decay(tf.float64)) == 1.0
    before = {key: value.numpy() for key, value in copies.items()}
    for variable in trained.values():
        variable.assign(rng.normal(size=variable.shape))
    objective.after_update({}, OneDevice())  # at m = 1, the copy stays
    for key, variable in copies.items():
        np.testing.assert_array_equal(variable, before[key], err_msg=key)
        assert np.abs(trained[key].numpy() - before[key]).max() > 1e-3, key  # control: the weights have moved


def test_the_copy_starts_as_the_tower_and_runs_without_gradient():
    objective = oners.made(CONFIGS["itc"])
    objective.start()
    batch = oners.batch(ROWS)
    same = {**batch, "momentum_images": batch["images"], "momentum_token_ids": batch["token_ids"]}
    encoded = objective.encode(same)
    np.testing.assert_array_equal(encoded["key_image"], encoded["image"])
    np.testing.assert_array_equal(encoded["key_text"], encoded["text"])
    np.testing.assert_array_equal(encoded["image"], objective.embed_image(batch["images"]))
    np.testing.assert_array_equal(encoded["text"], objective.embed_text(batch["token_ids"]))


def test_pair_and_patch_embeddings():
    objective, batch = oners.made(CONFIGS["all"]), oners.batch(ROWS)
    pair = objective.embed_pair(batch["images"], batch["token_ids"])
    np.testing.assert_array_equal(pair, objective.encode(batch)["pair"])
    patches = objective.embed_patches(batch["images"])
    assert patches.shape == (ROWS, 2, 2, 3)
    np.testing.assert_allclose(np.linalg.norm(patches, axis=-1), 1, atol=1e-12)
    kernel = objective.tower.projection.kernel.numpy()
    third = objective.tower.image(batch["images"]).tokens.numpy()[:, 2] @ kernel  # the second row, first column
    np.testing.assert_allclose(patches[:, 1, 0], third / np.linalg.norm(third, axis=1)[:, None], atol=1e-12)


@pytest.mark.parametrize(("case", "scale", "bias"), [("itc", 5.0, 0.0), ("sigmoid", 10.0, -1.0)])
def test_logits(case, scale, bias):
    config = CONFIGS[case]
    objective = objectives.create(config, VOCABULARY)
    image, text = (np.float32(one.numpy()) for one in drawn("a", "b").values())
    np.testing.assert_allclose(objective.logits(image, text), scale * image @ text.T + bias, rtol=1e-5, atol=1e-5)


def test_flops_of_a_step():
    token, score, projection = 2 * (4 * 16 + 2 * 16), 2 * 2 * 4, 2 * 4 * 3
    conv = 2 * 4 * 12 * 4

    def one(tokens: int) -> int:
        return 2 * ((1 + tokens) * token + (1 + tokens) ** 2 * score) + projection

    image, text, pair = one(4) + conv, one(4), one(8) + conv
    contrast = 2 * 6 * 2 * 2 * 3  # 6 |B| D for each row and query
    assert oners.made(CONFIGS["itc"]).step_flops(2) == 2 * (3 * (image + text) + image + text) + contrast
    words = 2 * 4 * 4 * VOCABULARY
    assert oners.made(CONFIGS["mlm"]).step_flops(2) == 2 * 3 * (text + words)
    heads = words + 2 * 4 * 4 * 12
    assert oners.made(CONFIGS["mmm"]).step_flops(2) == 2 * 3 * (pair + heads)


def test_without_its_run_it_does_not_train_but_embeds():
    objective, batch = objectives.create(settings.OnerSettings(TOWER), VOCABULARY), oners.batch(ROWS, "float32")
    assert objective.embed_image(batch["images"]).shape == (ROWS, 3)
    with pytest.raises(RuntimeError, match=r"words that Oner may mask .* give models.objectives.create a Run"):
        objective.encode(batch)
    itc = objectives.create(CONFIGS["itc"], VOCABULARY)
    with pytest.raises(RuntimeError, match=r"decay of the momentum copy .* give models.objectives.create a Run"):
        itc.after_update({}, OneDevice())
    run = Run(STEPS, lambda: TEXT_IDS)
    assert objectives.create(settings.OnerSettings(TOWER), VOCABULARY, run=run).encode(batch)


def test_masked_terms_refuse_rows_without_seeds():
    objective, batch = oners.made(CONFIGS["all"]), oners.batch(ROWS)
    batch.pop("seeds")
    with pytest.raises(ValueError, match=r"Oner\.mim, Oner\.mlm, Oner\.mmm is 1\.1, 0\.8, 1\.2, but must be 0 for"):
        objective.encode(batch)


class Precomputed(settings.OnerSettings):
    """An Oner that would train on embeddings that are computed before training."""

    @property
    def precomputed_tower(self) -> settings.ImageTowerSettings:
        return settings.ImageTowerSettings()


def test_settings_refuse_masked_terms_with_precomputed_embeddings():
    assert Precomputed(TOWER, **oners.NONE | {"itc": 1.0}).itc == 1  # control: contrasts need no seeds
    with pytest.raises(ValueError, match=r"\.mlm is 0\.5, but must be 0 with embeddings that are computed before"):
        Precomputed(TOWER, **oners.NONE | {"itc": 1.0, "mlm": 0.5})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (oners.NONE, r"Oner.itc, Oner.xmc, .*Oner.mmm is 0.0, but must be above 0 in one term .*; set Oner.itc = 1.0"),
        ({"itc": -1.0}, "Oner.itc is -1.0, but must be 0 or more; 0 leaves the term out"),
        ({"itc": math.inf}, "Oner.itc is inf, but must be finite; set Oner.itc to a number; 0 leaves the term out"),
        (
            oners.NONE | {"mim": 1.0, "predictor": True},
            "Oner.predictor is True, but must be False without a contrast: itc, xmc, cic, cmc are all 0; "
            "set Oner.predictor = False, or Oner.itc = 1.0",
        ),
        (
            oners.NONE | {"mim": 1.0, "contrast": "sigmoid"},
            "Oner.contrast is 'sigmoid', but must be 'softmax' without a contrast: itc, xmc, cic, cmc are all 0",
        ),
        ({"temperature": 0.0}, "Oner.temperature is 0.0, but must be a number above 0; set it to 0.2"),
        ({"masked_words": 1.0}, "Oner.masked_words is 1.0, but must be above 0 and below 1; set it to 0.15"),
        ({"masked_patches": 0.0}, "Oner.masked_patches is 0.0, but must be above 0 and below 1; set it to 0.5"),
        ({"cic": 1.0, "tower": {"depth": 1}}, "OneTower.depth is 1, but must be 2 or more with Oner.cic: in one block"),
        ({"mix_queries": True}, "Oner.mix_queries is True, but must be False without Oner.xmc"),
        ({"contrast": "triplet"}, "Oner.contrast is 'triplet', but must be one of softmax, sigmoid"),
        ({"momentum": 1.5}, r"Oner.momentum is 1.5, but must be in \[0, 1\]; set it to 0.99"),
        ({"tower": {"size": 50}}, r"OneTower.size is 50, but must be a multiple of OneTower.patch \(16\); try 48"),
        ({"tower": {"width": 30, "heads": 4}}, "OneTower.width is 30"),
        ({"tower": {"resize": "stretch"}}, "OneTower.resize is 'stretch', but must be one of squash"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    tower = changes.get("tower", {})

    def make() -> settings.OnerSettings:
        return settings.OnerSettings(**{**changes, "tower": settings.OneTowerSettings(**tower) if tower else TOWER})

    with pytest.raises(ValueError, match=message):
        make()
