"""The minima of the quickstarts' gates are far above chance, and their comments give the chance of their sets."""

import re

import pytest

from components.metrics.settings import GateSettings
from models import features
from models.evaluation import metrics
from models.evaluation.rules import Rule
from models.settings import configuration
from tests.pipeline.conftest import ROOT

GATES = ROOT / "gin" / "gate"
OPENMOJI = {features.OWN_SET: (338, 5)}
SCENES = {features.OWN_SET: (327, 5)}  # 394 rows; recall counts a picture once
SETS = {
    "emoji_artists": {"seen": (1685, 1440), "unseen": (1238, 1238)},
    "oner": SCENES,
    "openmoji": OPENMOJI,
    "openmoji_rocket": OPENMOJI,
    "openmoji_simla": SCENES,
}
"""{gate: {evaluation set: (pictures, classes)}} of the quickstarts, as their reports show them."""
FOR_ANY_DATA = {"retrieval"}


def test_every_gate_is_checked():
    assert {path.stem for path in GATES.glob("*.gin")} == SETS.keys() | FOR_ANY_DATA


def minima(name: str) -> dict[str, float]:
    return configuration.load([str(GATES / f"{name}.gin")], [], [GateSettings])[0].min_value


def by_chance(name: str, key: str) -> float:
    rule = Rule.parse(key)
    return metrics.chance(*SETS[name][rule.evaluation_set])[rule.metric]


@pytest.mark.parametrize("name", SETS)
def test_each_minimum_is_at_least_ten_times_chance(name):
    """Of few classes, ten times chance is more than 1, so the minimum is above chance."""
    found = minima(name)
    assert found
    for key, minimum in found.items():
        chance = by_chance(name, key)
        assert minimum >= 10 * chance or (10 * chance > 1 and minimum > chance), (key, minimum, chance)


@pytest.mark.parametrize("name", SETS)
def test_comments_give_the_chance_of_each_minimum(name):
    lines = re.findall(r"^ +'([\w/]+)': [\d.]+, +# chance (\.\d+)", (GATES / f"{name}.gin").read_text(), re.MULTILINE)
    assert [key for key, _ in lines] == list(minima(name))
    for key, written in lines:
        assert f"{by_chance(name, key):.{len(written) - 1}f}" == f"0{written}", key
