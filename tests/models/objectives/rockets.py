"""Small ClipRocket objectives, and what their towers could give for a batch."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from models import settings
from models.objectives.clip_rocket import ClipRocket
from models.optimizers.parameters import name
from models.towers.precision import layers_with_policy

WIDTH, VOCABULARY = 8, 16
IMAGE_TOWER = settings.ImageTowerSettings(size=8, patch=4, width=WIDTH, depth=1, heads=2, mlp_dim=8)
TEXT_TOWER = settings.TextTowerSettings(length=4, width=WIDTH, depth=1, heads=2, mlp_dim=8)
BARLIP = settings.BarlipSettings(projector=(5, 4, 6))
SIAMLIP = settings.SiamlipSettings(projector=(5, 4), predictor=(6, 4))
BYOLIP = settings.ByolipSettings(projector=(5, 4), predictor=(6, 4), momentum=0.9)
SWALIP = settings.SwalipSettings()
PROTOTYPES = settings.SwalipSettings(prototypes=7, projector=(5, 4), frozen_steps=2)


def config(**more: object) -> settings.ClipRocketSettings:
    return settings.ClipRocketSettings(IMAGE_TOWER, TEXT_TOWER, projection_dim=3, **{"local_hidden": 5, **more})


CONFIGS = {
    "basic": config(local_views=0),
    "views": config(contrastive_weight=2.0),
    "linear": config(local_hidden=0),
    "sigmoid": config(contrast="sigmoid", label_smoothing=0.0),
    "barlip": config(terms=(BARLIP,)),
    "siamlip": config(terms=(SIAMLIP,)),
    "byolip": config(terms=(BYOLIP,)),
    "swalip": config(terms=(SWALIP,), label_smoothing=0.0),
    "prototypes": config(terms=(PROTOTYPES,), local_views=0),
    "all": config(terms=(BARLIP, SIAMLIP, BYOLIP)),
}


def made(of: settings.ClipRocketSettings, dtype: str = "float32", seed: int = 0) -> ClipRocket:
    """The objective with weights, norms and statistics drawn anew, so that none is 0 or 1; exact in float32."""
    keras.utils.set_random_seed(seed)
    with layers_with_policy(dtype):
        objective = ClipRocket(of, VOCABULARY)
        objective.build()
    rng = np.random.default_rng(seed)
    for variable in objective.variables:
        if "tower" not in variable.name and variable.dtype.is_floating and variable.shape.rank:
            drawn = np.float32(rng.normal(size=variable.shape))
            drawn = 0.5 + np.abs(drawn) if "variance" in variable.name else drawn
            variable.assign(1.0 + 0.25 * drawn if "gamma" in variable.name else drawn)
    return objective


def encoded(objective: ClipRocket, rows: int, dtype: str = "float32", seed: int = 0) -> dict[str, tf.Tensor]:
    """Drawn features, in the names and shapes of `encode`."""
    rng, n = np.random.default_rng(seed), objective.config.local_views
    shapes = dict.fromkeys(("image", "text"), (rows, WIDTH))
    if n:
        shapes |= {f"local_{m}": (rows, n, WIDTH) for m in ("image", "text")}
    if settings.ByolipSettings in map(type, objective.config.terms):
        shapes |= {f"byolip_{m}": (rows, 1 + n, WIDTH) for m in ("image", "text")}
    return {key: tf.constant(np.float32(rng.normal(size=shape)), dtype) for key, shape in shapes.items()}


def arrays(objective: ClipRocket, features: dict[str, tf.Tensor]) -> dict[str, np.ndarray]:
    """Features and weights outside of towers in float64, for tests.models.objectives.rocket_reference."""
    weights = {name(v): v for v in objective.variables if "tower" not in v.name}
    return {key: np.float64(value.numpy()) for key, value in {**features, **weights}.items()}


def batch(objective: ClipRocket, rows: int, seed: int = 0) -> dict[str, tf.Tensor]:
    rng, size = np.random.default_rng(seed), objective.config.image_tower.size
    pictures = {v: tf.constant(rng.uniform(-1, 1, (rows, size, size, 3)), tf.float32) for v in objective.views.images}
    length = objective.config.text_tower.length
    texts = {v: tf.constant(rng.integers(0, VOCABULARY, (rows, length)), tf.int32) for v in objective.views.texts}
    return pictures | texts
