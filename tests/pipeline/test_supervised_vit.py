"""A run starts from a supervised ViT of AugReg's layout: its image tower is locked, or learns slowly."""

import pathlib

import numpy as np
import pytest

from models import pretrained
from models.pretrained.restoration import resize_positions
from tests.models.pretrained import flax_vit
from tests.pipeline.conftest import Project

POSITIONS = "image_tower/position_embedding"
TOWER = [
    "Training.pretrained = @Pretrained()",
    "Pretrained.parts = ('image_tower',)",
    "ImageTower.size = 48",  # the file's is 24
    f"ImageTower.patch = {flax_vit.PATCH}",
    f"ImageTower.width = {flax_vit.WIDTH}",
    f"ImageTower.depth = {flax_vit.DEPTH}",
    f"ImageTower.heads = {flax_vit.HEADS}",
    f"ImageTower.mlp_dim = {flax_vit.MLP}",
    "ImageTower.pooling = 'cls'",
    "ImageTower.antialias = False",
    "Training.steps = 30",
    "Gate.min_value = {'image_to_text_recall_at_5': 0.0, 'text_to_image_recall_at_5': 0.0}",
]
LOCKED = [
    "Training.objective = @Siglit()",
    "Siglit.image_tower = @ImageTower()",
    "Siglit.text_tower = @TextTower()",
    "Siglit.precomputed = True",
]
UNLOCKED = ["AdamW.multipliers = {'image_tower': 0.1}", "AdamW.no_decay = ('image_tower',)"]


@pytest.fixture
def file(tmp_path) -> pathlib.Path:
    np.savez(tmp_path / "B_8.npz", **flax_vit.tensors())
    return tmp_path / "B_8.npz"


def trained(folder: pathlib.Path, file: pathlib.Path, *bindings: str) -> tuple[dict, dict]:
    """Image towers: what the run has published, and what the file holds at the run's size."""
    run = Project(folder)
    run.run(f"Pretrained.path = '{file}'", *TOWER, *bindings)
    (version,) = (run.output / "serving").iterdir()
    given = dict(pretrained.read_parts(str(file)).weights)
    given[POSITIONS] = resize_positions(given[POSITIONS], 6 * 6 + 1, has_class=True)
    found = pretrained.read(str(version)).weights
    return {name: found[name] for name in given}, given


@pytest.mark.slow
def test_locked_tower_is_published_bit_for_bit(file, tmp_path):
    found, given = trained(tmp_path / "run", file, *LOCKED)
    for name, value in given.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.slow
def test_unlocked_tower_learns_at_a_tenth_of_the_rate(file, tmp_path):
    found, given = trained(tmp_path / "run", file, *UNLOCKED)
    moved = {name: np.abs(found[name] - value).max() for name, value in given.items()}
    # The rate is 3e-3 at most. A step of Adam moves a weight by about its rate, and 30 steps by less than 30 of them.
    # Softmax cancels the key's bias, so its gradient is rounding alone.
    assert all(move > 0 or name.endswith("key/bias") for name, move in moved.items()), moved
    assert max(moved.values()) < 30 * 3e-4, moved

    fast, _ = trained(tmp_path / "fast", file)
    assert max(np.abs(fast[name] - value).max() for name, value in given.items()) > 30 * 3e-4  # control


@pytest.mark.slow
def test_unlocked_tower_does_not_decay(file, tmp_path):
    """Steps of Adam at a tenth of the rate change the norm of a kernel by less than a hundredth; this decay by more."""

    def shrunk(folder: str, *bindings: str) -> float:
        found, given = trained(tmp_path / folder, file, "AdamW.weight_decay = 20.0", *bindings)
        kernels = [name for name in given if name.endswith("kernel")]
        return max(1 - np.linalg.norm(found[name]) / np.linalg.norm(given[name]) for name in kernels)

    assert shrunk("kept", *UNLOCKED) < 0.01
    assert shrunk("decayed", UNLOCKED[0]) > 0.03  # control
