"""A model that is small enough to be created in a test."""

import tf_keras as keras

from models import objectives, settings
from models.inputs.tokenizer import Tokenizer

OBJECTIVE = settings.SiglipSettings(
    settings.ImageTowerSettings(size=24, patch=8, width=32, depth=1, heads=2, mlp_dim=64),
    settings.TextTowerSettings(length=12, width=32, depth=1, heads=2, mlp_dim=64),
)


def tiny_objective(vocabulary: str) -> tuple[objectives.Objective, Tokenizer]:
    """An untrained SigLIP of 24 px and 12 tokens, and its tokenizer."""
    keras.utils.set_random_seed(0)
    tokenizer = Tokenizer(vocabulary, OBJECTIVE.text_tower)
    return objectives.create(OBJECTIVE, tokenizer.vocabulary_size), tokenizer
