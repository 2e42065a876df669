"""The safetensors files of a Hugging Face folder: whole, sharded, of half precision, or broken."""

import json
import struct

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from models import pretrained
from tests.models.pretrained.tiny import FIXTURE, assert_same


def test_sharded_weights_are_read_as_one(folder):
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    split = {"model-00001-of-00002.safetensors": names[:40], "model-00002-of-00002.safetensors": names[40:]}
    for part, held in split.items():
        save_file({name: tensors[name] for name in held}, folder / part)
    index = {name: part for part, held in split.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    assert_same(pretrained.read(str(folder)), pretrained.read(str(FIXTURE)))

    index[names[0]] = "model-00002-of-00002.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    with pytest.raises(
        pretrained.PretrainedError, match=rf"{names[0]} is in model-00001.*but the index says model-00002"
    ):
        pretrained.read(str(folder))
    twice = {name: tensors[name] for name in (names[0], *names[40:])}
    save_file(twice, folder / "model-00002-of-00002.safetensors")
    with pytest.raises(pretrained.PretrainedError, match=r"index.json: two files have the same tensor; get all files"):
        pretrained.read(str(folder))
    index[names[0]] = "../../elsewhere.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    with pytest.raises(pretrained.PretrainedError, match=r"'../../elsewhere.safetensors', which lies elsewhere"):
        pretrained.read(str(folder))


def test_position_ids_of_older_files_are_checked_and_dropped(folder):
    tensors = load_file(folder / "model.safetensors")
    ids = {
        "vision_model.embeddings.position_ids": np.arange(16)[None],
        "text_model.embeddings.position_ids": np.arange(16)[None],
    }
    save_file(tensors | ids, folder / "model.safetensors")
    assert_same(pretrained.read(str(folder)), pretrained.read(str(FIXTURE)))
    ids["text_model.embeddings.position_ids"] = np.arange(16)[None, ::-1].copy()
    save_file(tensors | ids, folder / "model.safetensors")
    with pytest.raises(pretrained.PretrainedError, match=r"text_model.embeddings.position_ids does not count from 0"):
        pretrained.read(str(folder))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_is_widened_exactly(folder, dtype):
    tensors = {name: tensor.astype(dtype) for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors")
    weights = pretrained.read(str(folder)).weights
    probe = tensors["vision_model.head.probe"].astype(np.float32)
    np.testing.assert_array_equal(weights["image_tower/head/probe"], probe)


def _header(claims: object, data: bytes, length: int | None = None) -> bytes:
    header = json.dumps(claims).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        _header({}, b"", length=1 << 60),
        _header({}, b"", length=1000),
        _header({"t": {"dtype": "F32", "shape": [1000], "data_offsets": [0, 4000]}}, b"1234"),
        _header({"t": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}}, b"1234"),
        _header({"t": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
        b"\x80\x04\x95 a pickle",
    ],
    ids=["empty", "huge header", "long header", "cut short", "lying shape", "unknown type", "pickle"],
)
def test_error_names_the_broken_safetensors_file(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(
        pretrained.PretrainedError, match=r"model.safetensors cannot be read as safetensors .*cut short"
    ):
        pretrained.read(str(folder))


def test_pickles_are_never_loaded(folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"anything")
    with pytest.raises(
        pretrained.PretrainedError, match=r"pytorch_model.bin may run any code and is never loaded; save"
    ):
        pretrained.read(str(folder))
