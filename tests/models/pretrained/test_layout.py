"""`layout` has the names and shapes of the built model, and its parameter counts are the published ones."""

import dataclasses

import numpy as np
import pytest

from models import objectives, settings
from models.optimizers.parameters import name
from models.pretrained import layout
from tests.models.pretrained.tiny import CONFIG

SIZES = {
    "base": {"width": 768, "depth": 12, "heads": 12, "mlp_dim": 3072},
    "large": {"width": 1024, "depth": 24, "heads": 16, "mlp_dim": 4096},
    "so400m": {"width": 1152, "depth": 27, "heads": 16, "mlp_dim": 4304},
    "g-opt": {"width": 1536, "depth": 40, "heads": 16, "mlp_dim": 6144},
}


@pytest.mark.parametrize("pooling", ["map", "gap", "cls"])
@pytest.mark.parametrize("bottleneck", [0, 3])
def test_layout_equals_the_built_model(pooling, bottleneck):
    image = dataclasses.replace(CONFIG.image_tower, pooling=pooling, size=29, cut_to_patches=True)
    config = settings.SiglipSettings(image, dataclasses.replace(CONFIG.text_tower, bottleneck=bottleneck))
    built = objectives.create(config, 30).variables
    assert layout.shapes(config, 30) == {name(variable): tuple(variable.shape) for variable in built}


# (image, text, patch, size, length, words): parameters as KerasHub's presets state them.
PUBLISHED = {
    ("base", "base", 16, 224, 64, 32_000): 203_156_230,
    ("base", "base", 16, 512, 64, 32_000): 203_792_962,
    ("base", "base", 16, 256, 64, 250_000): 370_626_370,
    ("large", "large", 16, 256, 64, 32_000): 652_151_106,
    ("large", "large", 16, 384, 64, 32_000): 652_479_106,
    ("so400m", "so400m", 14, 224, 16, 32_000): 877_360_578,
    ("so400m", "so400m", 14, 384, 64, 32_000): 877_961_291,
    ("so400m", "so400m", 16, 256, 64, 250_000): 1_128_759_282,
    ("base", "base", 32, 256, 64, 256_000): 376_856_194,
    ("so400m", "so400m", 14, 384, 64, 256_000): 1_136_009_291,
    ("g-opt", "so400m", 16, 256, 64, 256_000): 1_871_394_226,
    ("g-opt", "so400m", 16, 384, 64, 256_000): 1_871_886_066,
}


@pytest.mark.parametrize(("model", "published"), PUBLISHED.items(), ids=str)
def test_parameter_counts_equal_published_counts(model, published):
    image, text, patch, size, length, words = model
    image_tower = settings.ImageTowerSettings(**SIZES[image], patch=patch, size=size, cut_to_patches=size % patch > 0)
    text_tower = settings.TextTowerSettings(**SIZES[text], length=length)
    shapes = layout.shapes(settings.SiglipSettings(image_tower, text_tower), words)
    position_ids = image_tower.patches + length  # integers 0, 1, 2, ..., which KerasHub counts as weights
    assert sum(int(np.prod(shape)) for shape in shapes.values()) + position_ids == published


def test_multilingual_bottleneck_has_the_size_in_the_paper():
    """mSigLIP, arXiv 2303.15343: N x K and K x W parameters replace N x W, for N = 250,000 pieces and K = 96."""

    def embedding(bottleneck: int) -> int:
        tower = settings.TextTowerSettings(**SIZES["base"], length=64, bottleneck=bottleneck)
        shapes = layout.shapes(settings.SiglipSettings(settings.ImageTowerSettings(**SIZES["base"]), tower), 250_000)
        return sum(int(np.prod(shape)) for name, shape in shapes.items() if name.startswith("text_tower/token_"))

    assert embedding(0) == 250_000 * 768
    assert embedding(96) == 250_000 * 96 + 96 * 768
