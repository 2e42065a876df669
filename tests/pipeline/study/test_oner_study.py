"""The cells of gin/study/oner.gin compare towers of the same number of parameters."""

import numpy as np

from models import objectives
from models.objectives.training_only import exported_variables
from models.settings import configuration
from pipeline.study import cells
from pipeline.study.settings import StudySettings
from tests.pipeline.conftest import ROOT

STUDY = ROOT / "gin" / "study" / "oner.gin"


def test_siglip_has_the_parameters_of_the_one_tower_besides_its_two_scalars():
    (study,) = configuration.load([str(STUDY)], [], [StudySettings])
    resolved = {cell.name: cell.settings for cell in cells.resolve(study, str(STUDY.parent))}
    counts = {}
    for name in ("ITC + XMC + CIC", "ITC + CMC + masked", "siglip"):
        of = resolved[name]
        assert of.vocabulary.size == 1200
        made = objectives.create(of.training.objective, of.vocabulary.size)
        counts[name] = {one.name: int(np.prod(one.shape)) for one in exported_variables(made)}
    total = {name: sum(sizes.values()) for name, sizes in counts.items()}
    assert total == {"ITC + XMC + CIC": 297_152, "ITC + CMC + masked": 297_152, "siglip": 297_154}
    assert sum(size for size in counts["siglip"].values() if size == 1) == 2
