"""Values of Simla and of its codebook that make no sense are refused at once, with name, value and fix."""

import pathlib
import re

import pytest

from models.settings import (
    ImageTowerSettings,
    SimlaSettings,
    TextTowerSettings,
    TrainingSettings,
    VisualCodebookSettings,
    configuration,
    visual_codes,
)
from pipeline.settings.run import PipelineSettings

GIN = pathlib.Path(__file__).parents[3] / "gin"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SimlaSettings(itc=0.0, itm=0.0, mlm=0.0, mim=0.0, psl=0.0),
            "Simla.itc, itm, mlm, mim and psl is (0.0, 0.0, 0.0, 0.0, 0.0), but must be not all 0; set one of them",
        ),
        (lambda: SimlaSettings(mlm=-1.0), "Simla.mlm is -1.0, but must be 0 or more; 0 switches it off"),
        (
            lambda: TrainingSettings(SimlaSettings(queue_size=100), batch_size=64),
            "Simla.queue_size is 100, but must be a multiple of Training.batch_size (64); try 128",
        ),
        (
            lambda: SimlaSettings(masked_patches=196),
            "Simla.masked_patches is 196, but must be at most 195: the picture has 196 patches, and one must stay; low",
        ),
        (
            lambda: SimlaSettings(min_block=300),
            "Simla.min_block is 300, but must be at most 195: the picture has 196 pa",
        ),
        (
            lambda: SimlaSettings(masked_patches=20, min_block=21),
            "Simla.min_block is 21, but must be at most the 20 patches that are masked (0 takes the paper's share of",
        ),
        (
            lambda: SimlaSettings(masked_patches=5),
            "Simla.min_block is 12, but must be at most the 5 patches that are masked (0 takes the paper's share of",
        ),
        (lambda: SimlaSettings(alpha=1.5), "Simla.alpha is 1.5, but must be in [0, 1]; set Simla.alpha to a frac"),
        (
            lambda: SimlaSettings(temperature=0.6),
            "Simla.temperature is 0.6, but must be in [0.001, 0.5]; training keeps",
        ),
        (
            lambda: SimlaSettings(negatives="all"),
            "Simla.negatives is 'all', but must be one of global, replica; correct",
        ),
        (
            lambda: SimlaSettings(ImageTowerSettings()),
            "ImageTower.pooling is 'map', but must be 'cls' with Simla; set ImageTower.pooling = 'cls'",
        ),
        (
            lambda: SimlaSettings(text_tower=TextTowerSettings(width=384, heads=6)),
            "TextTower.width is 384, but must be ImageTower.width (768) with Simla, whose fusion attends to the image",
        ),
        (
            lambda: SimlaSettings(text_tower=TextTowerSettings(causal=True)),
            "TextTower.causal is True, but must be False",
        ),
        (
            lambda: SimlaSettings(text_tower=TextTowerSettings(bottleneck=9)),
            "TextTower.bottleneck is 9, but must be 0 wi",
        ),
        (
            lambda: VisualCodebookSettings(codes=1),
            "VisualCodebook.codes is 1, but must be 2 or more; one code tells noth",
        ),
        (
            lambda: VisualCodebookSettings(path="dall_e.pkl"),
            "VisualCodebook.path is 'dall_e.pkl', but must be an .npz, because a pickle may run any code and is never",
        ),
    ],
)
def test_a_bad_value_is_refused(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_without_itc_there_is_no_queue_to_fit_the_batch():
    assert TrainingSettings(SimlaSettings(itc=0.0, queue_size=100), batch_size=64).batch_size == 64


def test_other_pictures_take_the_papers_shares():
    def of(size: int) -> tuple[int, int]:
        config = SimlaSettings(ImageTowerSettings(size=size, patch=16, pooling="cls"))
        return config.patches_to_mask, config.smallest_block

    assert of(256) == (75, 16)
    assert of(32) == (1, 1)
    assert of(64) == (5, 1)


def test_only_mim_asks_for_a_codebook():
    assert visual_codes(SimlaSettings()).codebook == VisualCodebookSettings()
    assert visual_codes(SimlaSettings(mim=0.0)) is None
    assert visual_codes(TrainingSettings().objective) is None


def test_gin_files_give_the_values_of_the_paper():
    files = [str(GIN / "objective" / "simla.gin"), str(GIN / "optimizer" / "simla.gin")]
    (made,) = configuration.load(files, ["Training.batch_size = 512", "Training.steps = 9000"], [TrainingSettings])
    of = made.objective
    assert (of.itc, of.itm, of.mlm, of.mim, of.psl) == (1.0, 1.0, 1.0, 1.0, 1.0)
    assert (of.projection_dim, of.temperature, of.momentum, of.queue_size) == (256, 0.07, 0.995, 65_536)
    assert (of.alpha, of.alpha_steps, of.negatives) == (0.4, 5000, "global")
    assert (of.masked_words, of.votes, of.keywords, of.visual_codebook.codes) == (0.15, 4, 5, 8192)
    assert of == SimlaSettings()  # the defaults are the paper's, too
    assert (made.optimizer.learning_rate, made.optimizer.weight_decay, made.optimizer.beta_2) == (1e-4, 0.02, 0.999)
    schedule = made.schedule
    assert (schedule.kind, schedule.warmup_steps, schedule.final_share) == ("cosine", 2000, 0.1)


def test_the_quickstart_has_a_queue_and_a_codebook_of_its_size():
    (run,) = configuration.load([str(GIN / "quickstart_simla.gin")], [], [PipelineSettings])
    made = run.training.objective
    assert (made.queue_size, made.visual_codebook.codes) == (1024, 512)
