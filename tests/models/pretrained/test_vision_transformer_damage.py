"""A file that is nearly a supervised ViT is refused, with the name and the shape of the tensor."""

import re

import numpy as np
import pytest

from models import pretrained
from tests.models.pretrained.flax_vit import OLD_POSITIONS, tensors

MLP = "image_tower/encoder/block_1/mlp"
LAST = "Transformer/encoderblock_1/MlpBlock_3/Dense_1/bias"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({LAST: None}, f"{LAST} [24] is missing, but must hold our {MLP}/project/bias [24]"),
        ({LAST: np.zeros([9], np.float32)}, f"{LAST} is [9], but must be [24] for our {MLP}/project/bias [24]"),
        ({"Transformer/more": np.zeros([9], np.float32)}, "Transformer/more [9] matches none of our variables"),
        ({OLD_POSITIONS: None}, "learned position embeddings once (fixed sines, as in vit_s16_i1k files, are not"),
        ({"embedding/kernel": None}, "embedding/kernel is missing, so this is not a ViT of big_vision or AugReg (it"),
        ({"MAPHead_0/probe": np.zeros([1, 1, 24], np.float32)}, "has cls and MAPHead_0, but our tower has either"),
        ({LAST: np.full([24], np.nan, np.float32)}, f"{MLP}/project/bias has NaN or infinite values"),
    ],
)
def test_error_for_another_file_names_the_tensor(tmp_path, change, message):
    file = {name: value for name, value in {**tensors(), **change}.items() if value is not None}
    np.savez(tmp_path / "bad.npz", **file)
    with pytest.raises(pretrained.PretrainedError, match=re.escape(message)):
        pretrained.read_parts(str(tmp_path / "bad.npz"))
