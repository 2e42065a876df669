"""Times of a step of Oner, with each set of terms, relative to a step of SigLIP of the quickstart."""

import dataclasses
from collections.abc import Iterator

from models import settings
from tests.benchmarks.measure import Ratio, ratio
from tests.benchmarks.models import ONE_TOWER
from tests.benchmarks.steps import CONFIG, step_of

_OFF = dict.fromkeys(("itc", "cmc", "mim", "mlm", "mmm"), 0.0)
_TERMS = {
    "Oner, ITC alone": {**_OFF, "itc": 1.0},
    "Oner, XMC": {**_OFF, "xmc": 1.0},
    "Oner, XMC and CIC": {**_OFF, "xmc": 1.0, "cic": 1.0},
    "Oner, ITC and CMC": {**_OFF, "itc": 1.0, "cmc": 1.0},
    "Oner, default terms": {},
    "Oner, default terms, predictor": {"predictor": True},
    "Oner, default terms, sigmoid": {"contrast": "sigmoid"},
}


def run(rounds: int) -> Iterator[Ratio]:
    """The ratios of step times, each as soon as it is measured."""
    variants = {
        name: dataclasses.replace(CONFIG, objective=settings.OnerSettings(ONE_TOWER, **terms))
        for name, terms in _TERMS.items()
    }
    siglip = step_of(CONFIG)
    for name, config in variants.items():
        yield ratio(f"{name} / siglip", step_of(config), siglip, rounds)
