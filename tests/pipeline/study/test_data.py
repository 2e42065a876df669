"""Cells share their data exactly if all that the data depend on is equal."""

import pytest

from models.settings import configuration
from pipeline.settings.run import PipelineSettings
from pipeline.study import data
from tests.pipeline.conftest import ROOT


def text(*bindings: str) -> str:
    (one,) = configuration.load([str(ROOT / "gin" / "quickstart.gin")], bindings, [PipelineSettings])
    return data._text(one)


@pytest.mark.parametrize(
    "binding",
    [
        "ImageTextGen.salt = 'b'",
        "Deduper.image_distance = 1",
        "Pipeline.deduper = None",
        "Vocabulary.size = 900",
        "Augmenter.stop_word_removal = 0.25",
        "Pipeline.augmenter = None",
        "Pipeline.evaluation_sets = ()",
        "all_names/EvaluationSet.all_captions = False",
        "include 'gin/objective/simla.gin'",  # needs visual codes
    ],
)
def test_another_setting_of_the_data_gives_a_cell_its_own(binding):
    assert text(binding) != text()


@pytest.mark.parametrize(
    "binding",
    [
        "AdamW.beta_2 = 0.9",
        "Training.batch_size = 32",
        "ImageTower.width = 32",
        "all_names/EvaluationSet.templates = ('a drawing of {}',)",  # part of a run's identity
    ],
)
def test_cells_that_differ_in_training_share_the_data(binding):
    assert text(binding) == text()
