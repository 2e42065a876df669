"""Reads every published layout of big_vision's files, and refuses broken files with a message that names the tensor."""

import dataclasses
import io
import pickle
import zipfile

import ml_dtypes
import numpy as np
import pytest

from models import pretrained, settings
from tests.models.pretrained.tiny import CONFIG, assert_same, checkpoint


@pytest.fixture
def tensors(tmp_path) -> dict[str, np.ndarray]:
    pretrained.write(checkpoint(), str(tmp_path / "written.npz"))
    with np.load(tmp_path / "written.npz") as file:
        return dict(file)


def save(path, tensors) -> str:
    np.savez(path, **tensors)
    return str(path)


def test_written_names_are_those_of_big_vision(tensors):
    block = "params/txt/Encoder_0/encoderblock_0"
    assert tensors[f"{block}/MultiHeadDotProductAttention_0/query/kernel"].shape == (16, 2, 8)
    assert tensors["params/img/Transformer/encoderblock_1/MlpBlock_0/Dense_1/kernel"].shape == (40, 24)
    assert tensors["params/img/MAPHead_0/LayerNorm_0/scale"].shape == (24,)
    assert tensors["params/img/Transformer/encoder_norm/bias"].shape == (24,)
    assert tensors["params/txt/Embed_0/embedding"].shape == (30, 16)
    assert tensors["params/t"].shape == tensors["params/b"].shape == (1,)
    assert {name.split("/")[1] for name in tensors} == {"img", "txt", "t", "b"}


def test_tower_sizes_follow_from_shapes(tmp_path, tensors):
    loaded = pretrained.read(save(tmp_path / "a.npz", tensors))
    image = dataclasses.replace(CONFIG.image_tower, antialias=False)
    text = dataclasses.replace(CONFIG.text_tower, punctuation="canonicalize")
    assert dataclasses.replace(loaded.config, logit_scale=10.0, logit_bias=-10.0) == settings.SiglipSettings(
        image, text
    )
    assert loaded.config.logit_scale == pytest.approx(np.exp(tensors["params/t"][0]))
    assert loaded.config.logit_bias == tensors["params/b"][0]


def test_stacked_blocks_without_params_prefix_give_the_same_checkpoint(tmp_path, tensors):
    plain = {name.removeprefix("params/"): tensor for name, tensor in tensors.items()}
    stacked = {name: tensor for name, tensor in plain.items() if "/encoderblock_" not in name}
    for name in plain:
        if "/encoderblock_0/" in name:
            depth = 2 if name.startswith("img/") else 1
            blocks = [plain[name.replace("encoderblock_0", f"encoderblock_{i}")] for i in range(depth)]
            stacked[name.replace("encoderblock_0", "encoderblock")] = np.stack(blocks)
    assert len(stacked) < len(plain)
    assert_same(pretrained.read(save(tmp_path / "a.npz", stacked)), checkpoint())


def test_multilingual_model_without_text_head_gets_the_identity(tmp_path):
    same_width = dataclasses.replace(CONFIG.image_tower, width=16, heads=2)
    pretrained.write(checkpoint(dataclasses.replace(CONFIG, image_tower=same_width)), str(tmp_path / "a.npz"))
    with np.load(tmp_path / "a.npz") as file:
        tensors = {name: tensor for name, tensor in file.items() if "/txt/head/" not in name}
    weights = pretrained.read(save(tmp_path / "b.npz", tensors)).weights
    np.testing.assert_array_equal(weights["text_tower/head/kernel"], np.eye(16))
    np.testing.assert_array_equal(weights["text_tower/head/bias"], np.zeros(16))


def test_towers_of_different_widths_need_a_text_head(tmp_path, tensors):
    headless = {name: tensor for name, tensor in tensors.items() if "/txt/head/" not in name}
    with pytest.raises(pretrained.PretrainedError, match=r"txt/head/kernel is \[16, 16\], but must be \[16, 24\]"):
        pretrained.read(save(tmp_path / "a.npz", headless))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_is_widened_exactly(tmp_path, tensors, dtype):
    halves = {name: tensor.astype(dtype) for name, tensor in tensors.items()}
    loaded = pretrained.read(save(tmp_path / "a.npz", halves))
    kernel = "img/embedding/kernel"
    np.testing.assert_array_equal(
        loaded.weights["image_tower/patch_embedding/kernel"], halves[f"params/{kernel}"].astype(np.float32)
    )


def test_size_may_be_no_multiple_of_the_patch(tmp_path, tensors):
    path = save(tmp_path / "a.npz", tensors)
    assert pretrained.read(path, size=30).config.image_tower.cut_to_patches
    with pytest.raises(pretrained.PretrainedError, match=r"of 32 px have 4 x 4 .* 3 x 3; name a size from 24 to 31"):
        pretrained.read(path, size=32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"img/MAPHead_0/probe": None}, r"img/MAPHead_0/probe \[1, 1, 24\] is missing, but must hold our image_tower"),
        ({"txt/head/bias": None}, r"txt/head/bias \[24\] is missing, but must hold our text_tower/head/bias \[24\]"),
        ({"img/head/kernel": np.zeros([24, 9])}, r"img/head/kernel \[24, 9\] matches none of our variables"),
        (
            {"txt/head/kernel": np.zeros([24, 16], np.float32)},
            r"txt/head/kernel is \[24, 16\], but must be \[16, 24\] for our text_tower/head/kernel \[16, 24\]",
        ),
        ({"txt/Embed_0/embedding": None}, "txt/Embed_0/embedding is missing, so this is not a SigLIP file of big_vis"),
        ({"img/pos_embedding": np.zeros([1, 8, 24], np.float32)}, "8 positions, but must have a square grid"),
        ({"img/pos_embedding": np.zeros([8, 24], np.float32)}, r"img/pos_embedding is \[8, 24\], but must have 3 dim"),
        ({"t": np.zeros([1], np.int32)}, "t is int32, but must be one of float32, float16, bfloat16"),
        ({"t": np.full([1], np.nan, np.float32)}, "log_scale has NaN or infinite values"),
        ({"t": np.full([1], 90, np.float32)}, "log_scale is 90.0, but must be the logarithm of t, in"),
        ({"img/Transformer/encoderblock/x": np.zeros([1 << 40, 0])}, r"/x.npy is empty, \[1099511627776, 0\]"),
        ({"img/Transformer/encoderblock_99999999/x": np.zeros([1])}, r"block_2/LayerNorm_0/scale \[24\] is missing"),
        ({"img/embedding/kernel": np.zeros([192, 24], np.float32)}, "is a matrix, as in SigLIP 2 NaFlex, which is not"),
        ({"b": np.array([{}], object)}, "b.npy is a pickle, which may run any code and is never loaded"),
    ],
)  # fmt: skip
def test_error_for_another_model_names_the_tensor(tmp_path, tensors, change, message):
    for name, tensor in change.items():
        tensors.pop(f"params/{name}", None)
        if tensor is not None:
            tensors[f"params/{name}"] = tensor
    with pytest.raises(pretrained.PretrainedError, match=message):
        pretrained.read(save(tmp_path / "bad.npz", tensors))


def test_truncated_file_is_refused(tmp_path, tensors):
    whole = (tmp_path / "written.npz").read_bytes()
    bad = tmp_path / "bad.npz"
    for share in (0, 0.001, 0.3, 0.6, 0.999):
        bad.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(
            pretrained.PretrainedError, match=r"bad.npz cannot be read .*it is not an .npz or was cut short"
        ):
            pretrained.read(str(bad))


def test_flipped_byte_is_detected(tmp_path, tensors):
    flipped = bytearray((tmp_path / "written.npz").read_bytes())
    flipped[len(flipped) // 2] ^= 0x55
    (tmp_path / "bad.npz").write_bytes(flipped)
    with pytest.raises(pretrained.PretrainedError, match=r"bad.npz"):
        pretrained.read(str(tmp_path / "bad.npz"))


def test_false_size_in_a_header_is_refused_before_allocation(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as file:
        file.writestr("params/t.npy", header.getvalue() + b"1234")
    with pytest.raises(pretrained.PretrainedError, match=r"params/t.npy says \[1099511627776\] of float32.*but has 4"):
        pretrained.read(str(tmp_path / "bad.npz"))


class _Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemError('a pickle was loaded')",))


def test_pickle_with_an_npz_name_is_not_loaded(tmp_path):
    (tmp_path / "bad.npz").write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(pretrained.PretrainedError, match=r"it is not an .npz"):
        pretrained.read(str(tmp_path / "bad.npz"))


def test_towers_unknown_to_big_vision_are_not_written(tmp_path):
    config = dataclasses.replace(CONFIG, text_tower=dataclasses.replace(CONFIG.text_tower, bottleneck=4))
    with pytest.raises(
        pretrained.PretrainedError, match=r"TextTower.bottleneck is 4, but big_vision's SigLIP has 0 only"
    ):
        pretrained.write(checkpoint(config), str(tmp_path / "a.npz"))
    assert not list(tmp_path.iterdir())
