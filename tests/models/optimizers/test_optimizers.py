"""Compares each optimiser, alone and on replicas, with a trace in plain NumPy, and schedules with closed forms."""

import math
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from models import optimizers, settings
from models.optimizers import parameters, schedules
from tests.devices import make_devices

SHAPES = {"a/kernel": (40, 36), "b/kernel": (3, 33, 34), "c/kernel": (34, 4, 34), "c/bias": (36,), "log_scale": ()}
STEPS = 20
SCHEDULE = settings.ScheduleSettings(warmup_steps=4)
COMMON = {
    "learning_rate": 0.02,
    "clip_norm": 80.0,
    "multipliers": {"^b/": 0.5, "kernel": 1.0, "scale$": 2.0},
    "no_decay": ("^c/",),
}
CONFIGS = {
    "AdamW": settings.AdamWSettings(**COMMON, weight_decay=0.3),
    "Lion": settings.LionSettings(**COMMON, weight_decay=0.01, momentum_dtype="float32"),
    "Lion, bfloat16": settings.LionSettings(**COMMON, weight_decay=0.01),
    "Adafactor": settings.AdafactorSettings(**COMMON, weight_decay=0.01, momentum_dtype="float32"),
    "Adafactor, bfloat16": settings.AdafactorSettings(**COMMON, weight_decay=0.01),
}
Arrays = dict[str, np.ndarray]


def start(dtype: str) -> Arrays:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in SHAPES.items()}


def gradients_of(step: int, dtype: str) -> list[np.ndarray]:
    """Their norm is about 80 times 0.5, 1 or 1.5, so that only some steps are clipped."""
    rng = np.random.default_rng(step + 1)
    return [(rng.normal(size=shape) * (0.5 + step % 3 / 2)).astype(dtype) for shape in SHAPES.values()]


def reference(config: settings.OptimizerSettings, dtype: str, *, clip_after: bool = False) -> tuple[Arrays, np.ndarray]:
    """Weights after the last step, and norms of gradient and update, [STEPS, 2]; float64, but for bfloat16 momenta."""
    weights = {name: value.astype("float64") for name, value in start(dtype).items()}
    memory = {name: {} for name in weights}
    norms = []
    for step in range(STEPS):
        share = (step + 1) / 4 if step < 4 else 0.5 + 0.5 * math.cos(math.pi * (step - 4) / 16)
        grads = [g.astype("float64") for g in gradients_of(step, dtype)]
        norm, before = norm_of(grads), dict(weights)
        factor = min(1.0, config.clip_norm / norm)
        for (name, weight), gradient in zip(weights.items(), grads, strict=True):
            if clip_after:
                change = factor * direction(config, memory[name], gradient, step)
            else:
                change = direction(config, memory[name], factor * gradient, step)
            multiplier = {"a": 1.0, "b": 0.5, "c": 1.0, "l": 2.0}[name[0]] if name != "c/bias" else 1.0
            decay = config.weight_decay * share * (config.learning_rate if "AdamW" in type(config).__name__ else 1.0)
            kept = weight * (1 - multiplier * decay) if name in ("a/kernel", "b/kernel") else weight
            weights[name] = kept - config.learning_rate * share * multiplier * change
        norms.append((norm, norm_of([before[name] - weights[name] for name in weights])))
    return weights, np.array(norms)


def norm_of(arrays: list[np.ndarray]) -> float:
    return math.sqrt(sum(float((array**2).sum()) for array in arrays))


def direction(config: settings.OptimizerSettings, memory: Arrays, g: np.ndarray, step: int) -> np.ndarray:
    b1 = config.beta_1
    m = memory.get("m", np.zeros_like(g))
    if isinstance(config, settings.AdamWSettings):
        memory["m"] = b1 * m + (1 - b1) * g
        memory["v"] = config.beta_2 * memory.get("v", 0) + (1 - config.beta_2) * g**2
        unbiased = memory["v"] / (1 - config.beta_2 ** (step + 1))
        return memory["m"] / (1 - b1 ** (step + 1)) / (np.sqrt(unbiased) + config.epsilon)
    if isinstance(config, settings.LionSettings):
        memory["m"] = stored(config, config.beta_2 * m + (1 - config.beta_2) * g)
        return np.sign(b1 * m + (1 - b1) * g)
    b2 = min(config.beta_2_cap, 1 - (step + 1) ** -config.decay_rate)
    square = g**2 + config.epsilon
    order = np.argsort(g.shape, kind="stable")
    if g.ndim >= 2 and g.shape[order[-2]] >= config.min_dim_to_factor:
        d1, d0 = order[-2:]
        memory["row"] = b2 * memory.get("row", 0) + (1 - b2) * square.mean(d0, keepdims=True)
        memory["col"] = b2 * memory.get("col", 0) + (1 - b2) * square.mean(d1, keepdims=True)
        scaled = g * (memory["row"] / memory["row"].mean(d1, keepdims=True)) ** -0.5 * memory["col"] ** -0.5
    else:
        memory["v"] = b2 * memory.get("v", 0) + (1 - b2) * square
        scaled = g * memory["v"] ** -0.5
    momentum = b1 * m + (1 - b1) * scaled
    memory["m"] = stored(config, momentum)
    return momentum


def stored(config: settings.OptimizerSettings, momentum: np.ndarray) -> np.ndarray:
    if config.momentum_dtype == "float32":
        return momentum
    return np.asarray(momentum).astype(ml_dtypes.bfloat16).astype("float64")


def trace(
    config: settings.OptimizerSettings, dtype: str, strategy: tf.distribute.Strategy | None = None
) -> tuple[Arrays, np.ndarray, optimizers.Optimizer]:
    alone, strategy = strategy is None, strategy or tf.distribute.get_strategy()
    with strategy.scope():
        variables = [tf.Variable(value, name=name) for name, value in start(dtype).items()]
        optimizer = optimizers.create(config, SCHEDULE, STEPS, variables)

    @tf.function(jit_compile=alone)
    def update(*gradients: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return optimizer.apply(gradients) if alone else strategy.run(optimizer.apply, args=(gradients,))

    norms = []
    for step in range(STEPS):
        squares = [strategy.experimental_local_results(value)[0] for value in update(*gradients_of(step, dtype))]
        norms.append([math.sqrt(float(tf.reduce_sum(square))) for square in squares])
    copies = [strategy.experimental_local_results(variable) for variable in variables]
    assert all(np.array_equal(copy, group[0]) for group in copies for copy in group)
    assert float(optimizer.learning_rate()) == pytest.approx(0.0, abs=1e-8)
    return {name: group[0].numpy() for name, group in zip(SHAPES, copies, strict=True)}, np.array(norms), optimizer


def distance(ours: Arrays, theirs: Arrays) -> float:
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in SHAPES)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 5e-6), ("float64", 1e-14)])
def test_weights_equal_the_numpy_trace(name, dtype, tolerance):
    # In float32, the sign of a number near 0, or the rounding of a momentum to bfloat16, may fall to the other side.
    # This happens to one or two of the 160,000 numbers of a trace.
    allowed = 3 if dtype == "float32" and name not in ("AdamW", "Adafactor") else 0
    config = CONFIGS[name]
    ours, norms, optimizer = trace(config, dtype)
    theirs, their_norms = reference(config, dtype)
    assert {norm > config.clip_norm for norm in their_norms[:, 0]} == {True, False}
    np.testing.assert_allclose(norms[:, 0], their_norms[:, 0], rtol=1e-6 if dtype == "float32" else 1e-12)
    # The update norm is that of a difference of weights, each rounded: relative to the smallest update, the last one.
    np.testing.assert_allclose(norms[:, 1], their_norms[:, 1], rtol=1e-4 if dtype == "float32" else 1e-12)
    assert sum(int((np.abs(ours[key] - theirs[key]) > tolerance).sum()) for key in SHAPES) <= allowed
    assert int(optimizer.step) == STEPS
    assert all(ours[variable].dtype == dtype for variable in SHAPES)


def replaced(name: str, **changes: object) -> settings.OptimizerSettings:
    return type(CONFIGS[name])(**{**vars(CONFIGS[name]), **changes})


OTHERS = {
    "Adafactor": [{"beta_2_cap": 0.85}, {"min_dim_to_factor": 35}, {"momentum_dtype": "bfloat16"}],
    "Lion": [{"beta_2": 0.9}, {"momentum_dtype": "bfloat16"}],
    "AdamW": [{"beta_2": 0.999}, {"weight_decay": 0.0}, {"no_decay": ()}, {"multipliers": {"scale$": 2.0}}],
}


@pytest.mark.parametrize(("name", "changes"), [(name, changes) for name in OTHERS for changes in OTHERS[name]])
def test_control_another_setting_gives_other_weights(name, changes):
    ours, _, _ = trace(replaced(name, **changes), "float64")
    assert distance(ours, reference(CONFIGS[name], "float64")[0]) > 1e-4


def test_control_clipping_the_update_or_decaying_a_bias_gives_other_weights(monkeypatch):
    ours, theirs = trace(CONFIGS["AdamW"], "float64")[0], reference(CONFIGS["AdamW"], "float64", clip_after=True)[0]
    assert distance(ours, theirs) > 1e-3
    monkeypatch.setattr(parameters, "is_kernel", lambda variable: True)
    ours, theirs = trace(CONFIGS["AdamW"], "float64")[0], reference(CONFIGS["AdamW"], "float64")[0]
    assert distance(ours, theirs) > 1e-3


def test_state_names_every_slot_with_its_shape():
    _, _, optimizer = trace(CONFIGS["Adafactor, bfloat16"], "float32")
    state = optimizer.state()
    assert state["step"] is optimizer.step
    assert state["momentum/a/kernel"].dtype == tf.bfloat16
    factored = {name: tuple(value.shape) for name, value in state.items() if "second_moment" in name}
    assert factored == {
        "second_moment_row/a/kernel": (36,),  # the mean over 40, the largest
        "second_moment_column/a/kernel": (40,),
        "second_moment_row/b/kernel": (3, 33),
        "second_moment_column/b/kernel": (3, 34),
        "second_moment_row/c/kernel": (34, 4),  # of equal dimensions, the later one counts as larger
        "second_moment_column/c/kernel": (4, 34),
        "second_moment/c/bias": (36,),
        "second_moment/log_scale": (),
    }
    _, _, optimizer = trace(CONFIGS["AdamW"], "float32")
    assert set(optimizer.state()) == {"step"} | {f"{s}_moment/{name}" for s in ("first", "second") for name in SHAPES}
    twins = [tf.Variable(0.0, name="twin"), tf.Variable(0.0, name="twin")]
    with pytest.raises(ValueError, match="Several variables are named twin"):
        optimizers.create(settings.LionSettings(), SCHEDULE, STEPS, twins)


def test_patterns_freeze_variables_and_must_match_one():
    variables = [tf.Variable(value, name=name) for name, value in start("float32").items()]
    kept = optimizers.trainable(settings.LionSettings(multipliers={"^a/": 0.0, "bias$": 0.0}), variables)
    assert [parameters.name(variable) for variable in kept] == ["b/kernel", "c/kernel", "log_scale"]
    assert optimizers.trainable(settings.LionSettings(), variables) == variables
    with pytest.raises(ValueError, match=r"Lion.multipliers has 'tower', which matches none of the 5 .*: a/kernel, b"):
        optimizers.trainable(settings.LionSettings(multipliers={"tower": 0.0}), variables)
    with pytest.raises(ValueError, match=r"AdamW.no_decay has '\^kernel'"):
        optimizers.trainable(settings.AdamWSettings(no_decay=("^kernel",)), variables)
    with pytest.raises(ValueError, match="freezes every variable"):
        optimizers.trainable(settings.AdamWSettings(multipliers={"": 0}), variables)


def test_schedules_equal_their_closed_forms():
    steps = np.arange(1000)
    after = np.maximum(steps - 100, 0)
    rise = np.minimum((steps + 1) / 100, 1.0)
    rsqrt = 1 / np.sqrt(1 + after / 50)
    expected = {
        ("cosine", 0): rise * (0.5 + 0.5 * np.cos(np.pi * after / 900)),
        ("rsqrt", 0): rise * rsqrt,
        ("rsqrt", 200): rise * rsqrt * np.minimum((1000 - steps) / 200, 1.0),
        ("constant", 0): rise,
        ("constant", 200): rise * np.minimum((1000 - steps) / 200, 1.0),
    }
    for (kind, cooldown), values in expected.items():
        schedule = settings.ScheduleSettings(kind, warmup_steps=100, cooldown_steps=cooldown, timescale=50)
        compiled = tf.function(schedules.fraction, jit_compile=True)
        np.testing.assert_allclose(compiled(schedule, 1000, tf.constant(steps), tf.float64), values, atol=1e-14)
        ours = schedules.learning_rate(schedule, 2.0, 1000, tf.constant(steps)).numpy()
        np.testing.assert_allclose(ours, 2.0 * values, atol=1e-6)
        assert (np.diff(ours[:100]) > 0).all()
        assert (np.diff(ours[100:]) <= 0).all()
        at_end = float(schedules.fraction(schedule, 1000, tf.constant(1000, tf.int64)))
        assert at_end == pytest.approx(0.0, abs=1e-7) or (not cooldown and kind != "cosine")
    unwarmed = settings.ScheduleSettings("constant", warmup_steps=0)
    assert float(schedules.fraction(unwarmed, 10, tf.constant(0, tf.int64))) == 1.0


def largest_distance_on(kind: str) -> float:
    """Runs in a separate process, since logical devices must be set before TensorFlow starts."""
    make_devices(2)
    strategy = {
        "mirrored": lambda: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
        "multi_worker": tf.distribute.MultiWorkerMirroredStrategy,
    }[kind]()
    distances = []
    for name in ("AdamW", "Lion, bfloat16", "Adafactor, bfloat16"):
        ours, norms, _ = trace(CONFIGS[name], "float64", strategy)
        theirs, their_norms = reference(CONFIGS[name], "float64")
        gradient_norm, update_norm = np.abs(norms / their_norms - 1).max(axis=0)
        assert update_norm < 1e-12
        distances += [distance(ours, theirs), float(gradient_norm)]
    return max(distances)


@pytest.mark.parametrize("kind", ["mirrored", pytest.param("multi_worker", marks=pytest.mark.slow)])
def test_replicas_update_weights_as_one_device_does(kind):
    code = f"from tests.models.optimizers import test_optimizers as t; print(t.largest_distance_on({kind!r}))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr[-3000:]
    assert float(process.stdout.splitlines()[-1]) < 1e-14
