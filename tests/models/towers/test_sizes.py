"""Each size of gin/model has the published number of parameters, and its step is lowered without memory for weights."""

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

from models import settings
from models.towers import flops
from tests import memory
from tests.models.pretrained.test_vision_transformer import PUBLISHED as SUPERVISED
from tests.models.towers import abstract_step

ROOT = pathlib.Path(__file__).parents[3]
# Trainable parameters of image and text tower with 32,000 words.
PARAMETERS = {
    "small": (23_438_976, 33_754_752),
    "medium": (41_475_584, 54_509_056),
    "base": (92_884_224, 110_271_744),
    "base_32": (94_540_800, 110_271_744),
    "base_8": (92_893_440, 110_271_744),
    "large": (315_956_224, 336_194_560),
    "large_384": (316_283_904, 336_194_560),
    "so400m": (427_680_704, 449_734_896),
    "giant": (1_036_448_384, 336_588_160),
    "gopt": (1_163_168_256, 450_177_648),
}
# The parameters that KerasHub's presets state, position ids included, and the model's vocabulary size and text length.
PUBLISHED = {
    "base": (203_156_230, 32_000, 64),
    "large": (652_151_106, 32_000, 64),
    "large_384": (652_479_106, 32_000, 64),
    "so400m": (877_360_578, 32_000, 16),
    "gopt": (1_871_394_226, 256_000, 64),
}


def counted(config: settings.ImageTowerSettings | settings.TextTowerSettings, words: int = 32_000, out: int = 0) -> int:
    """The number of parameters, by formula."""
    width, mlp = config.width, config.mlp_dim
    attention, norm = 4 * (width * width + width), 2 * width
    block = attention + 2 * width * mlp + mlp + width + 2 * norm
    encoder = config.depth * block + norm
    if isinstance(config, settings.TextTowerSettings):
        return words * width + config.length * width + encoder + width * out + out
    patches = config.patch**2 * 3 * width + width + config.patches * width
    return patches + encoder + map_head(config)


def map_head(config: settings.ImageTowerSettings) -> int:
    """The number of parameters of attention pooling: a probe, attention, a norm and an MLP."""
    width, mlp = config.width, config.mlp_dim
    return width + 4 * (width * width + width) + 2 * width + 2 * width * mlp + mlp + width


@pytest.mark.parametrize("size", PARAMETERS)
def test_each_size_has_the_published_number_of_parameters(size):
    objective = abstract_step.load(size).objective
    dim = objective.image_tower.width
    assert (counted(objective.image_tower), counted(objective.text_tower, out=dim)) == PARAMETERS[size]
    if size in PUBLISHED:
        published, words, length = PUBLISHED[size]
        text = dataclasses.replace(objective.text_tower, length=length)
        ids = objective.image_tower.patches + length
        assert counted(objective.image_tower) + counted(text, words, dim) + 2 + ids == published


def test_the_giant_without_its_head_has_the_published_number_of_parameters():
    """ViT-g/14 has 1,011 M parameters (Zhai et al., arXiv 2106.04560, table 2); its classes are no part of it."""
    tower = abstract_step.load("giant").objective.image_tower
    assert round((counted(tower) - map_head(tower)) / 1e6) == 1011


@pytest.mark.parametrize(
    ("size", "name"), {"base": "B/16", "base_32": "B/32", "base_8": "B/8", "large": "L/16"}.items()
)
def test_the_supervised_vit_with_our_head_has_as_many_parameters(size, name):
    """The published ViT has a class token with a position; the tower has a MAP head in place of it."""
    tower = abstract_step.load(size).objective.image_tower
    width, depth, heads, mlp, patch, parameters = SUPERVISED[name]
    assert (tower.width, tower.depth, tower.heads, tower.mlp_dim, tower.patch) == (width, depth, heads, mlp, patch)
    positions = (tower.patches - (224 // patch) ** 2) * width  # a larger picture has more
    assert parameters - 2 * width + positions + map_head(tower) == PARAMETERS[size][0]


@pytest.mark.parametrize("size", PARAMETERS)
def test_the_table_in_the_docs_has_the_same_numbers(size):
    objective = abstract_step.load(size).objective
    image, text = PARAMETERS[size]
    tower, dim = objective.image_tower, objective.image_tower.width
    operations = round((flops.image_tower(tower) + flops.text_tower(objective.text_tower, dim)) / 1e9)
    row = f"| `{size}.gin` | {tower.patch}, {tower.size} | {objective.text_tower.length} "
    row += f"| {image:,} | {text:,} | {image + text + 2:,} | {operations} |"
    assert row in (ROOT / "docs" / "checkpoints.md").read_text()


@pytest.mark.slow  # minutes for each size
@pytest.mark.parametrize("size", [size for size in PARAMETERS if not re.search(r"_\d|medium|giant", size)])
def test_a_step_is_lowered_to_hlo_without_memory_for_its_weights(size):
    found = json.loads(abstract(size))
    image, text = PARAMETERS[size]
    assert found["parameters"] == {"image_tower": image, "text_tower": text, "": image + text + 2}
    assert found["program"] > 1_000_000
    # TensorFlow itself takes 1.5 GB; the weights of g-opt alone, without slots or gradients, 6.5 GB.
    assert found["peak_bytes"] < 2e9 + 2.5 * found["parameters"][""]


RECIPES = {
    "coco_finetune": (512, 5000),
    "msiglip": (32_768, 915_527),
    "siglip_b16_32k": (32_768, 274_658),
    "siglit_b8_l": (32_768, 65_000),
    "siglit_g14_l": (20_480, 107_000),
}


def test_each_recipe_has_the_batch_and_the_steps_of_the_docs():
    assert {path.stem for path in (ROOT / "gin" / "recipe").glob("*.gin")} == RECIPES.keys()
    for name, (rows, steps) in RECIPES.items():
        training = abstract_step.load_recipe(name).training
        assert (training.batch_size, training.steps) == (rows, steps)
        assert re.search(rf"\| \[`{name}`\][^|]*\|.*\| {rows:,} \| {steps:,}", (ROOT / "docs/recipes.md").read_text())


@pytest.mark.parametrize(("name", "days"), [("siglit_b8_l", 1), ("siglit_g14_l", 2)])
def test_a_recipe_of_siglit_fits_into_its_published_days_on_four_chips_at_full_speed(name, days):
    training = abstract_step.load_recipe(name).training
    text, dim = training.objective.text_tower, training.objective.image_tower.width

    def needed(length: int) -> float:
        step = flops.text_tower(dataclasses.replace(text, length=length), dim)
        return training.steps * flops.train_step(step, training.batch_size, dim) / (4 * 275e12) / 86_400

    assert needed(text.length) < days < needed(64)  # 275e12: FLOP/s of a TPU v4 chip


def test_recipes_have_the_published_settings():
    """The table of docs/recipes.md says where each number is from."""
    made = {name: abstract_step.load_recipe(name) for name in RECIPES}
    for name in ("siglip_b16_32k", "msiglip", "siglit_g14_l"):
        adafactor = made[name].training.optimizer
        assert isinstance(adafactor, settings.AdafactorSettings)
        assert (adafactor.learning_rate, adafactor.weight_decay, adafactor.beta_2_cap) == (1e-3, 1e-4, 0.95)
    lion = made["siglit_b8_l"].training.optimizer
    assert isinstance(lion, settings.LionSettings)
    assert (lion.learning_rate, lion.weight_decay) == (1e-4, 1e-7)
    adamw = made["coco_finetune"].training.optimizer
    towers = ("image_tower", "text_tower")
    assert (adamw.learning_rate, adamw.no_decay, adamw.clip_norm) == (1e-3, towers, 1.0)
    assert adamw.multipliers == {"image_tower|text_tower": 0.1}
    objectives = {name: one.training.objective for name, one in made.items()}
    start = {name: (one.logit_bias, one.logit_scale) for name, one in objectives.items()}
    assert start.pop("coco_finetune") == (-2.71, 10.0)
    assert set(start.values()) == {(-10.0, 10.0)}
    warm_up = {name: one.training.schedule.warmup_steps for name, one in made.items()}
    assert warm_up == {
        "coco_finetune": 150, "msiglip": 10_000, "siglip_b16_32k": 10_000, "siglit_b8_l": 6500, "siglit_g14_l": 9766,
    }  # fmt: skip
    views = made["coco_finetune"].training.augmentation
    assert (views.flip, views.rand_augment_layers, views.rand_augment_magnitude) == (True, 2, 10.0)
    many = made["msiglip"]
    assert (many.vocabulary.size, objectives["msiglip"].text_tower.bottleneck) == (250_000, 96)
    served = {name: one.text_tower.punctuation for name, one in objectives.items()}
    assert served.pop("coco_finetune") == "keep"  # the checkpoint decides
    assert set(served.values()) == {"canonicalize"}
    sizes = {name: (one.text_tower.width, one.text_tower.depth) for name, one in objectives.items()}
    assert (sizes["siglit_b8_l"], sizes["siglit_g14_l"]) == ((1024, 12), (1024, 24))
    lengths = {name: one.text_tower.length for name, one in objectives.items()}
    assert lengths.pop("coco_finetune") == 64
    assert set(lengths.values()) == {16}
    assert objectives["siglit_g14_l"].image_tower.size == 288


@pytest.mark.slow  # minutes for each
@pytest.mark.parametrize("name", RECIPES)
def test_a_step_of_each_recipe_is_lowered(name):
    found = json.loads(abstract(f"recipe/{name}"))
    assert found["program"] > 1_000_000
    assert (found["parameters"]["image_tower"] > 0) == (not name.startswith("siglit"))


@pytest.mark.slow
def test_the_smallest_step_compiles_to_machine_code():
    """Takes five minutes. The larger sizes have more and wider layers of the same kind, and would take hours."""
    assert json.loads(abstract("small", "optimized_hlo"))["program"] > 1_000_000


def abstract(*arguments: str) -> str:
    command = [sys.executable, "-m", "tests.models.towers.abstract_step", *arguments]
    quick = {"XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"}
    # Each large tensor is fresh from Linux; freed memory, which has been written, would become that of variables.
    quick |= memory.GIVES_BACK | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ, **quick}
    ).stdout
