"""Hugging Face's folders: what transformers saved is read and written back, and what is broken is refused by name."""

import dataclasses
import io
import json
import pathlib
import shutil
import struct

import ml_dtypes
import numpy as np
import pytest
import sentencepiece
from safetensors.numpy import load_file, save_file

from models import pretrained
from models.pretrained import vocabularies
from tests.models.pretrained.tiny import CONFIG, FIXTURE, assert_same, checkpoint


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(FIXTURE, tmp_path / "model"))


def edit(path: pathlib.Path, **fields: object) -> None:
    """Sets fields of a JSON file, "part__field" inside a part; None removes."""
    content = json.loads(path.read_text())
    for name, value in fields.items():
        *parts, last = name.split("__")
        inner = content
        for part in parts:
            inner = inner[part]
        inner.pop(last, None)
        if value is not None:
            inner[last] = value
    path.write_text(json.dumps(content))


def test_what_transformers_saved_is_written_back_tensor_for_tensor(tmp_path):
    pretrained.write(pretrained.read(str(FIXTURE)), str(tmp_path / "model"), "hugging_face")
    theirs, ours = load_file(FIXTURE / "model.safetensors"), load_file(tmp_path / "model" / "model.safetensors")
    assert theirs.keys() == ours.keys()
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(tensor, ours[name], err_msg=name)
    given, written = (json.loads((where / "config.json").read_text()) for where in (FIXTURE, tmp_path / "model"))
    for part in ("vision_config", "text_config"):
        left_out = {"bos_token_id", "eos_token_id", "vision_use_head"}
        assert given[part].items() - written[part].items() <= {(k, v) for k, v in given[part].items() if k in left_out}
    assert (tmp_path / "model" / "spiece.model").read_bytes() == (FIXTURE / "spiece.model").read_bytes()
    again = pretrained.read(str(tmp_path / "model"))
    assert again.config == pretrained.read(str(FIXTURE)).config


def test_fields_that_are_absent_are_what_transformers_takes(folder):
    config = {"model_type": "siglip", "text_config": {}, "vision_config": {}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(pretrained.PretrainedError, match=r"weight is \[48, 3, 8, 8\], but must be \[768, 3, 16, 16\]"):
        pretrained.read(str(folder))


def test_parts_are_read_as_one(folder):
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
    with pytest.raises(pretrained.PretrainedError, match=rf"{names[0]} is in model-00001.*not in model-00002"):
        pretrained.read(str(folder))
    index[names[0]] = "../../elsewhere.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    with pytest.raises(pretrained.PretrainedError, match=r"'../../elsewhere.safetensors', which lies elsewhere"):
        pretrained.read(str(folder))


def test_position_ids_of_older_files_are_looked_at_and_left_out(folder):
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


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "clip"}, "model_type is 'clip', but must be 'siglip'"),
        ({"model_type": "siglip2"}, "model_type is 'siglip2'.*NaFlex variants are not supported"),
        ({"vision_config": None}, "vision_config is None, but must be an object"),
        ({"text_config": 3}, "text_config is 3, but must be an object"),
        ({"vision_config__hidden_act": "swish"}, "vision_config.hidden_act is 'swish', but must be one of gelu_py"),
        ({"text_config__hidden_act": ["gelu"]}, r"text_config.hidden_act is \['gelu'\], but must be one of"),
        ({"vision_config__layer_norm_eps": 1e-5}, "vision_config.layer_norm_eps is 1e-05, but must be 1e-06"),
        ({"vision_config__num_attention_heads": 5}, r"heads is 5, but must be a divisor of hidden_size \(48\)"),
        ({"vision_config__hidden_size": "48"}, "hidden_size is '48', but must be a whole number"),
        ({"vision_config__num_hidden_layers": -1}, "num_hidden_layers is -1, but must be a whole number"),
        ({"text_config__num_hidden_layers": 1 << 20}, "hidden_layers is 1048576, but must be a whole number"),
        ({"vision_config__num_channels": 1}, "num_channels is 1, but must be 3"),
        ({"vision_config__vision_use_head": False}, "vision_use_head is False, but must be True"),
        ({"text_config__projection_size": 32}, "text_config.projection_size is 32, but must be 48"),
        ({"text_config__projection_size": None}, "text_config.projection_size is None, but must be 48"),
        ({"text_config__vocab_size": 100}, r"token_embedding.weight is \[86, 32\], but must be \[100, 32\] for our"),
        ({"text_config__num_hidden_layers": 3}, r"layers.2.layer_norm1.weight \[32\] is missing, which our text"),
        ({"text_config__num_hidden_layers": 1}, r"text_model.encoder.layers.1.* belongs to no variable of ours"),
        ({"vision_config__image_size": 48}, r"size is {'height': 35, 'width': 35}, but must be {'height': 48"),
        ({"vision_config__image_size": [48, 32]}, r"image_size is \[48, 32\], but must be a whole number"),
    ],
)  # fmt: skip
def test_a_config_of_another_model_names_the_field(folder, fields, message):
    edit(folder / "config.json", **fields)
    with pytest.raises(pretrained.PretrainedError, match=message):
        pretrained.read(str(folder))


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        (
            "preprocessor_config.json",
            {"image_mean": [0.48, 0.46, 0.41]},
            r"image_mean is \[0.48, 0.46, 0.41\], but must be",
        ),
        ("preprocessor_config.json", {"rescale_factor": 1 / 127.5}, "rescale_factor is .*, but must be 1/255"),
        ("preprocessor_config.json", {"do_center_crop": True}, "do_center_crop is True, but must be False"),
        ("preprocessor_config.json", {"resample": 1}, r"resample is 1, but must be 2 \(bilinear\) or 3"),
        ("tokenizer_config.json", {"pad_token": "<none>"}, "pad_token is '<none>', which the vocabulary has not"),
        ("tokenizer_config.json", {"do_lower_case": False}, "do_lower_case is False, but our tokenizer always does"),
    ],
)
def test_preprocessing_that_we_do_not_have_is_refused(folder, name, fields, message):
    edit(folder / name, **fields)
    with pytest.raises(pretrained.PretrainedError, match=f"{name}: {message}"):
        pretrained.read(str(folder))


@pytest.mark.parametrize(("resample", "interpolation"), [(2, "bilinear"), (3, "bicubic"), (None, "bicubic")])
def test_the_resize_is_the_processors(folder, tmp_path, resample, interpolation):
    edit(folder / "preprocessor_config.json", resample=resample)
    loaded = pretrained.read(str(folder))
    assert loaded.config.image_tower.interpolation == interpolation
    pretrained.write(loaded, str(tmp_path / "again"), "hugging_face")
    assert pretrained.read(str(tmp_path / "again")).config == loaded.config


def test_pictures_that_are_not_squashed_get_no_processor(tmp_path):
    image = dataclasses.replace(CONFIG.image_tower, resize="letterbox")
    pretrained.write(
        checkpoint(dataclasses.replace(CONFIG, image_tower=image)), str(tmp_path / "model"), "hugging_face"
    )
    assert not (tmp_path / "model" / "preprocessor_config.json").exists()


def test_padding_and_punctuation_are_the_tokenizers(folder):
    edit(folder / "tokenizer_config.json", pad_token={"content": "<pad>"}, tokenizer_class="GemmaTokenizerFast")
    text = pretrained.read(str(folder)).config.text_tower
    assert (text.pad_id, text.strip_punctuation) == (0, False)
    text = pretrained.read(str(FIXTURE)).config.text_tower
    assert (text.pad_id, text.strip_punctuation) == (1, True)


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
def test_a_broken_file_of_tensors_is_named(folder, content):
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


@pytest.mark.parametrize("content", ["{", "[1]", '"text"', "[" * 100_000, "\x00"])
def test_a_config_that_is_no_json_object_is_named(folder, content):
    (folder / "config.json").write_text(content)
    with pytest.raises(pretrained.PretrainedError, match=r"config.json (cannot be read as JSON|holds no JSON object)"):
        pretrained.read(str(folder))


def test_without_a_vocabulary_no_tokenizer_is_written(tmp_path):
    pretrained.write(checkpoint(), str(tmp_path / "model"), "hugging_face")
    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert files == {"config.json", "model.safetensors", "preprocessor_config.json"}
    assert_same(pretrained.read(str(tmp_path / "model")), checkpoint())


def test_a_vocabulary_of_gemmas_size_gets_siglip_2s_tokenizer(tmp_path, monkeypatch):
    loaded = pretrained.read(str(FIXTURE))
    vocabulary = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d e f"] * 9), model_writer=vocabulary, vocab_size=12, hard_vocab_limit=False,
        pad_id=0, eos_id=1, bos_id=2, unk_id=3, minloglevel=2,
    )  # fmt: skip
    pieces = vocabularies.load(vocabulary.getvalue(), "made up").get_piece_size()
    embedding = loaded.weights["text_tower/token_embedding/embeddings"][:pieces]
    weights = loaded.weights | {"text_tower/token_embedding/embeddings": embedding}
    monkeypatch.setattr(vocabularies, "GEMMA_PIECES", pieces)
    config = dataclasses.replace(
        loaded.config, text_tower=dataclasses.replace(loaded.config.text_tower, pad_id=0, strip_punctuation=False)
    )
    made = pretrained.Checkpoint(config, weights, vocabulary.getvalue(), "made up")
    pretrained.write(made, str(tmp_path / "2"), "hugging_face")
    tokenizer = json.loads((tmp_path / "2" / "tokenizer_config.json").read_text())
    assert tokenizer["tokenizer_class"] == "Siglip2Tokenizer"
    assert (tokenizer["pad_token"], tokenizer["eos_token"], tokenizer["padding_side"]) == ("<pad>", "</s>", "right")
    text = pretrained.read(str(tmp_path / "2")).config.text_tower
    assert (text.pad_id, text.strip_punctuation) == (0, False)
