"""Times of a step of Simla, with each term alone and with all, relative to a step of SigLIP with the same towers."""

import dataclasses
from collections.abc import Iterator

from models import settings
from tests.benchmarks.measure import Ratio, ratio
from tests.benchmarks.models import TINY
from tests.benchmarks.steps import CONFIG, step_of

_TERMS = ("itc", "itm", "mlm", "mim", "psl")


def config(*terms: str, **more: object) -> settings.TrainingSettings:
    """A step of the towers of gin/model/tiny.gin with some terms."""
    simla = settings.SimlaSettings(
        dataclasses.replace(TINY.image_tower, pooling="cls"),
        TINY.text_tower,
        projection_dim=128,
        queue_size=1024,
        visual_codebook=settings.VisualCodebookSettings(codes=512),
        **{name: float(name in terms) for name in _TERMS},
        **more,
    )
    return dataclasses.replace(CONFIG, objective=simla)


def run(rounds: int) -> Iterator[Ratio]:
    """The ratios of step times, each as soon as it is measured."""
    siglip = step_of(CONFIG)
    variants = {f"Simla with {name} alone": config(name) for name in _TERMS}
    variants["Simla with all terms"] = config(*_TERMS)
    variants["Simla with all terms, negatives of the replica"] = config(*_TERMS, negatives="replica")
    for name, one in variants.items():
        yield ratio(f"{name} / siglip", step_of(one), siglip, rounds)
