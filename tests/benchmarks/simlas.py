"""Times of a step of Simla, with each term alone and with all, relative to a step of SigLIP with the same towers."""

import dataclasses

from models import settings
from tests.benchmarks.measure import Ratio, ratio
from tests.benchmarks.models import QUICKSTART
from tests.benchmarks.steps import CONFIG, step_of

_TERMS = ("itc", "itm", "mlm", "mim", "psl")


def config(*terms: str, **more: object) -> settings.TrainingSettings:
    """A step of the quickstart's towers with some terms."""
    simla = settings.SimlaSettings(
        dataclasses.replace(QUICKSTART.image_tower, pooling="cls"),
        QUICKSTART.text_tower,
        projection_dim=128,
        queue_size=1024,
        visual_codebook=settings.VisualCodebookSettings(codes=512),
        **{name: float(name in terms) for name in _TERMS},
        **more,
    )
    return dataclasses.replace(CONFIG, objective=simla)


def run(rounds: int) -> list[Ratio]:
    """The ratios of step times."""
    siglip = step_of(CONFIG)
    variants = {f"Simla with {name} alone": config(name) for name in _TERMS}
    variants["Simla with all terms"] = config(*_TERMS)
    variants["Simla with all terms, negatives of the replica"] = config(*_TERMS, negatives="replica")
    return [ratio(f"{name} / siglip", step_of(one), siglip, rounds) for name, one in variants.items()]
