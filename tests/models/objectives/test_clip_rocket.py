"""ClipRocket and its terms equal a dense NumPy reference, in loss and gradients; known faults are seen."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from models import objectives, optimizers, settings
from models.distribution.collectives import OneDevice
from models.losses.softmax import softmax_loss
from models.objectives.rocket_terms.swalip import Swalip
from models.objectives.softmax import Softmax
from models.objectives.two_towers import normalized
from models.optimizers.parameters import name
from models.training import gradients
from tests.dense_losses import complex_step_gradients
from tests.models.objectives import rocket_reference, rockets
from tests.models.objectives.rockets import CONFIGS

ROWS = 6
ALONE = [case for case in CONFIGS if case != "all"]
NEAR = {"float64": 1e-10, "float32": 1e-5}


def ours(objective, features) -> tuple[float, dict[str, np.ndarray]]:
    variables = [v for v in objective.trainable_variables if "tower" not in v.name]
    with tf.GradientTape() as tape:
        tape.watch(features)
        loss, _ = objective.loss(features, OneDevice())
    by_features, by_weights = tape.gradient(loss, (features, variables), unconnected_gradients="zero")
    found = {**by_features, **{name(v): g for v, g in zip(variables, by_weights, strict=True)}}
    return float(loss), {key: value.numpy() for key, value in found.items()}


@functools.cache
def expected(case: str) -> tuple[float, dict[str, np.ndarray]]:
    objective, features = started(case, "float64")
    arrays = rockets.arrays(objective, features)
    learned = {*features, *(name(v) for v in objective.trainable_variables)}
    fixed = {key: value for key, value in arrays.items() if key not in learned}

    def loss(**learned):
        return rocket_reference.loss(objective.config, {**fixed, **learned})

    return complex_step_gradients(loss, {key: arrays[key] for key in arrays if key in learned})


def started(case: str, dtype: str = "float64"):
    objective = rockets.made(CONFIGS[case], dtype)
    if case == "prototypes":
        objective.training_only.parts[0].state[0].assign(2)  # past the steps in which prototypes are frozen
    return objective, rockets.encoded(objective, ROWS, dtype)


def differences(case: str, dtype: str = "float64") -> tuple[float, float]:
    """Relative errors of the loss and of all gradients."""
    objective, features = started(case, dtype)
    (loss, by), (right, right_by) = ours(objective, features), expected(case)
    assert set(by) == set(right_by)
    largest = max(np.abs(value).max() for value in right_by.values())
    worst = max(np.abs(by[key] - value).max() for key, value in right_by.items())
    return abs(loss / right - 1), worst / largest


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", ALONE)
def test_loss_and_gradients_equal_the_reference(case, dtype):
    assert max(differences(case, dtype)) < NEAR[dtype]


@pytest.mark.parametrize("case", ["siamlip", "byolip", "prototypes"])
def test_control_targets_with_a_gradient_differ(case, monkeypatch):
    """Swalip without prototypes has no such control: one_way_softmax_loss gives its targets no gradient in any case."""
    expected(case)
    monkeypatch.setattr(tf, "stop_gradient", tf.identity)
    assert differences(case)[1] > 1e-3


def test_control_targets_of_the_same_views_differ(monkeypatch):
    monkeypatch.setattr(tf, "reverse", lambda tensor, axis: tensor)
    assert differences("swalip")[0] > 1e-3


@pytest.mark.parametrize("case", ["views", "barlip", "siamlip", "byolip", "prototypes"])
def test_control_batch_normalisation_over_a_half_of_the_batch_differs(case, monkeypatch):
    """Sums over the first half stand for those of the batch, as if a replica normalised by its own rows."""
    usual = tf.reduce_sum

    def of_half(tensor, axis=None, **more):
        if axis == 1 and tensor.shape.rank == 3:
            return 2 * usual(tensor[:, : ROWS // 2], axis=1, **more)
        return usual(tensor, axis=axis, **more)

    monkeypatch.setattr(tf, "reduce_sum", of_half)
    assert differences(case)[0] > 1e-4


def test_frozen_prototypes_get_no_gradient_and_then_one():
    objective, features = started("prototypes")
    steps, key = objective.training_only.parts[0].state[0], "swalip_prototypes/vectors"
    steps.assign(0)
    seen = []
    for _ in range(4):
        _, by = ours(objective, features)
        seen.append(bool(np.abs(by[key]).max() > 0))
        objective.after_update(features, OneDevice())
    assert seen == [False, False, True, True]
    assert int(steps) == 4


def test_adamw_leaves_prototypes_bit_for_bit_in_the_frozen_steps_and_then_moves_them():
    """Neither decay nor a slot moves them; the projectors move from the first step on."""
    objective, features = started("prototypes")
    term = objective.training_only.parts[0]
    term.state[0].assign(0)
    variables = [v for v in objective.trainable_variables if "tower" not in v.name]
    config = settings.AdamWSettings(learning_rate=0.1, weight_decay=0.1)
    schedule = settings.ScheduleSettings(kind="constant", warmup_steps=0)
    optimizer = optimizers.create(config, schedule, 10, variables)
    watched = {name(v): v for v in variables if name(v).startswith("swalip")}
    moved = []
    for _ in range(4):
        before = {key: variable.numpy() for key, variable in watched.items()}
        _, by = ours(objective, features)
        optimizer.apply([tf.constant(by[name(variable)]) for variable in variables])
        objective.after_update(features, OneDevice())
        moved.append({key for key, value in before.items() if not np.array_equal(watched[key], value)})
    vectors = {"swalip_prototypes/vectors"}
    assert moved == [watched.keys() - vectors] * 2 + [set(watched)] * 2


class ProjectedSoftmax(Softmax):
    """Softmax behind linear projectors, the reference of the basic recipe."""

    def __init__(self, config, projectors):
        super().__init__(config, rockets.VOCABULARY)
        self.projectors = projectors

    def encode(self, batch):
        image = self.image_tower(batch["images"], training=True)
        text = self.text_tower(batch["token_ids"], training=True)
        rows = {"image": image, "text": text}
        return {m: normalized(self.projectors[m](tf.cast(one, tf.float32))) for m, one in rows.items()}


def test_without_local_views_and_terms_it_is_softmax_behind_a_linear_projector_bit_for_bit():
    basic = rockets.made(CONFIGS["basic"])
    config = settings.SoftmaxSettings(rockets.IMAGE_TOWER, rockets.TEXT_TOWER, logit_scale=1 / 0.07)
    softmax = ProjectedSoftmax(config, basic.projectors)
    softmax.build()
    for mine, theirs in zip(softmax.image_tower.variables, basic.image_tower.variables, strict=True):
        mine.assign(theirs)
    for mine, theirs in zip(softmax.text_tower.variables, basic.text_tower.variables, strict=True):
        mine.assign(theirs)

    def of(objective):
        batch = rockets.batch(basic, ROWS)
        shared = objective.trainable_variables
        loss, metrics, by, _ = gradients.of_batch(objective, objective.encode, batch, shared, OneDevice())
        return {"loss": loss, **metrics, **{name(v): g for v, g in zip(shared, by, strict=True)}}

    mine, theirs = of(basic), of(softmax)
    assert set(mine) == set(theirs)
    for key, value in theirs.items():
        np.testing.assert_array_equal(mine[key], value, err_msg=key)


SOME = [pytest.param(case, marks=pytest.mark.slow) for case in ("basic", "sigmoid", "swalip", "prototypes")]


@pytest.mark.parametrize("case", ["all", *SOME])
def test_micro_batches_equal_the_whole_batch(case):
    objective = rockets.made(CONFIGS[case])
    if case == "prototypes":
        objective.training_only.parts[0].state[0].assign(2)
    batch = rockets.batch(objective, 8)
    common = (objective, objective.encode, batch, objective.trainable_variables, OneDevice())
    loss, metrics, right, _ = gradients.of_batch(*common)
    other, others, found, _ = gradients.of_micro_batches(*common, 4)
    assert float(other) == pytest.approx(float(loss), rel=2e-5)
    assert set(metrics) == set(others)
    largest = max(float(tf.reduce_max(tf.abs(g))) for g in right)
    for variable, mine, theirs in zip(objective.trainable_variables, found, right, strict=True):
        assert float(tf.reduce_max(tf.abs(mine - theirs))) < 2e-5 * largest, variable.name
    assert all(np.any(g) for v, g in zip(objective.trainable_variables, right, strict=True) if "kernel" in v.name)


def test_control_the_loss_of_each_micro_batch_alone_differs():
    objective = rockets.made(CONFIGS["barlip"])
    features = objective.encode(rockets.batch(objective, 8))
    whole, _ = objective.loss(features, OneDevice())
    parts = [objective.loss({k: v[i : i + 2] for k, v in features.items()}, OneDevice())[0] for i in range(0, 8, 2)]
    assert abs(float(sum(parts)) / 4 / float(whole) - 1) > 1e-2


def test_the_smoothing_of_global_pairs_is_none():
    """[P] smooths local pairs only."""
    objective = rockets.made(CONFIGS["basic"], "float64")
    features = rockets.encoded(objective, ROWS, "float64")
    z = [normalized(objective.projectors[m](features[m])) for m in ("image", "text")]
    loss, _ = objective.loss(features, OneDevice())
    assert float(loss) == float(softmax_loss(*z, objective.log_scale))
    assert float(loss) != float(softmax_loss(*z, objective.log_scale, None, 0.1))


def test_projectors_start_as_the_paper_says():
    keras.utils.set_random_seed(0)
    tower = settings.ImageTowerSettings(size=8, patch=8, width=64, depth=1, heads=2, mlp_dim=8)
    objective = objectives.create(settings.ClipRocketSettings(tower, rockets.TEXT_TOWER, local_hidden=5), 16)
    image, text = (objective.projectors[m].kernel.numpy() for m in ("image", "text"))
    assert image.std() == pytest.approx(64**-0.5, rel=0.05)
    assert np.abs(image - text).max() > 0.1
    assert objective.projectors["image"].bias is None
    assert float(objective.log_scale) == pytest.approx(np.log(1 / 0.07))
    assert float(objective.local_log_scale) == pytest.approx(np.log(10))
    assert isinstance(Swalip(settings.SwalipSettings(), None).state, list)
