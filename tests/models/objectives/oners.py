"""Tiny Oners with drawn weights and drawn rows, for tests."""

import numpy as np
import tensorflow as tf
import tf_keras as keras

from models import settings
from models.layers.patch_targets import patch_masks
from models.layers.word_masks import WordMasks
from models.objectives.objective import Run
from models.objectives.oner import Oner
from models.objectives.oner_parts import masked_prediction
from models.optimizers.parameters import name
from models.settings.oner import CONTRASTIVE, MASKED
from models.towers.precision import layers_with_policy

VOCABULARY, TEXT_IDS, STEPS = 8, np.arange(3, 8), 30
# Two blocks: in one block, a crossed pass gives the class output of the other modality.
TOWER = settings.OneTowerSettings(4, 2, 1, 4, size=4, patch=2, length=4, pad_id=1, projection_dim=3)
NONE = dict.fromkeys((*CONTRASTIVE, *MASKED), 0.0)
OFF = {**NONE, "masked_words": 0.5}


def config(**changes: object) -> settings.OnerSettings:
    """Settings with these terms only."""
    return settings.OnerSettings(TOWER, **{**OFF, **changes})


ALL = {"itc": 0.7, "xmc": 0.6, "cic": 1.3, "cmc": 0.9, "mim": 1.1, "mlm": 0.8, "mmm": 1.2}
CONFIGS = {
    **{term: config(**{term: 1.0}) for term in (*CONTRASTIVE, *MASKED)},
    "all": config(**ALL),
    "everything": config(**ALL, predictor=True, predictor_hidden=5),
    "light": config(cmc=1.0, mlm=1.0, predictor=True, predictor_hidden=5),
    "mixed": config(xmc=1.0, mix_queries=True),
    "sigmoid": config(itc=1.0, cmc=0.5, contrast="sigmoid", logit_bias=-1.0),
    "predictor": config(itc=1.0, cic=0.8, cmc=0.6, predictor=True, predictor_hidden=5),
}


def made(of: settings.OnerSettings, dtype: str = "float64", seed: int = 0) -> Oner:
    """The objective with all weights drawn anew, those of the copy, too; exact in float32."""
    keras.utils.set_random_seed(seed)
    with layers_with_policy(dtype):
        objective = Oner(of, VOCABULARY)
        objective.build()
    objective.prepare(Run(STEPS, lambda: TEXT_IDS))
    rng = np.random.default_rng(seed)
    for variable in objective.variables:
        if variable.dtype.is_floating:
            variable.assign(np.float32(rng.normal(size=variable.shape) * 0.6))
    return objective


def batch(rows: int, dtype: str = "float64", seed: int = 0) -> dict[str, tf.Tensor]:
    """Rows with padding; the last text is the end of sentence alone."""
    rng = np.random.default_rng(seed)
    found = {}
    for view in ("images", "momentum_images"):
        found[view] = tf.constant(np.float32(rng.uniform(-1, 1, (rows, TOWER.size, TOWER.size, 3))), dtype)
    for view in ("token_ids", "momentum_token_ids"):
        ids = rng.choice(TEXT_IDS, (rows, TOWER.length))
        ends = rng.integers(1, TOWER.length, rows)
        ends[-1] = 0
        places = np.arange(TOWER.length)[None]
        ids = np.where(places < ends[:, None], ids, np.where(places == ends[:, None], 0, TOWER.pad_id))
        found[view] = tf.constant(ids, tf.int32)
    found["seeds"] = tf.constant(rng.integers(-(2**31), 2**31, (rows, 2)), tf.int32)
    return found


def with_masks(of: settings.OnerSettings, rows: dict[str, tf.Tensor]) -> dict[str, np.ndarray]:
    """The rows for tests.models.objectives.oner_reference, with the masks that their seeds decide."""
    words, seeds = WordMasks(TEXT_IDS, VOCABULARY, of.masked_words), rows["seeds"]
    alone = words.draw(rows["token_ids"], seeds, masked_prediction._WORDS)
    pair = words.draw(rows["token_ids"], seeds, masked_prediction._PAIR_WORDS)
    patches = (
        patch_masks(seeds, TOWER.patches, of.masked_patches, stream)
        for stream in (masked_prediction._PATCHES, masked_prediction._PAIR_PATCHES)
    )
    found = {**rows, **dict(zip(("patches", "pair_patches"), patches, strict=True))}
    found |= {"shown": alone.token_ids, "hidden": alone.hidden, "places": alone.places}
    found |= {"pair_shown": pair.token_ids, "pair_hidden": pair.hidden, "pair_places": pair.places}
    return {key: value.numpy() for key, value in found.items()}


def weights(objective: Oner) -> dict[str, np.ndarray]:
    return {name(variable): variable.numpy() for variable in objective.variables}
