"""Times of a step of ClipRocket, alone and with each term, relative to a step of SigLIP with the same towers."""

import dataclasses
from collections.abc import Iterator

from models import settings
from tests.benchmarks.measure import Ratio, ratio
from tests.benchmarks.models import TINY
from tests.benchmarks.steps import CONFIG, step_of

# Projectors an eighth as wide as the paper's, since the towers are a sixth as wide as those of a Base model.
_SIZES = {"projection_dim": 64, "local_hidden": 512}
_PREDICTING = {"projector": (256, 64), "predictor": (256, 64)}
_TERMS = {
    "BarLIP": settings.BarlipSettings(projector=(384, 384, 1024)),
    "SiamLIP": settings.SiamlipSettings(**_PREDICTING),
    "BYOLIP": settings.ByolipSettings(**_PREDICTING),
    "SwALIP": settings.SwalipSettings(),
}
_BASIC_TERMS = {
    "SwALIP with prototypes": settings.SwalipSettings(prototypes=375, projector=(256, 64)),
    "SiamLIP": _TERMS["SiamLIP"],
}


def _rocket(**more: object) -> settings.TrainingSettings:
    config = settings.ClipRocketSettings(TINY.image_tower, TINY.text_tower, **_SIZES, **more)
    return dataclasses.replace(CONFIG, objective=config)


def run(rounds: int) -> Iterator[Ratio]:
    """The ratios of step times, each as soon as it is measured."""
    softmax = settings.SoftmaxSettings(TINY.image_tower, TINY.text_tower)
    variants = {
        "softmax": dataclasses.replace(CONFIG, objective=softmax),
        "ClipRocket, basic recipe": _rocket(local_views=0),
        "ClipRocket, two local views": _rocket(),
        "ClipRocket with the sigmoid ring": _rocket(contrast="sigmoid", label_smoothing=0.0),
        **{f"ClipRocket with {name}": _rocket(terms=(term,), label_smoothing=0.0) for name, term in _TERMS.items()},
        **{
            f"ClipRocket with {name}, basic recipe": _rocket(terms=(term,), local_views=0)
            for name, term in _BASIC_TERMS.items()
        },
    }
    siglip = step_of(CONFIG)
    for name, config in variants.items():
        yield ratio(f"{name} / siglip", step_of(config), siglip, rounds)
