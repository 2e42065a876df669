"""A folder that transformers saved is read and written back; errors name the broken file or the unsupported field."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
from safetensors.numpy import load_file

from models import pretrained
from models.pretrained import vocabularies
from tests.models.pretrained.tiny import CONFIG, FIXTURE, assert_same, checkpoint, with_plain_bpe


def edit(path: pathlib.Path, **fields: object) -> None:
    """Sets fields of a JSON file; "part__field" is a field inside a part, and None removes the field."""
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


def test_folder_of_transformers_is_written_back_tensor_for_tensor(tmp_path):
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


def test_absent_fields_get_the_defaults_of_transformers(folder):
    config = {"model_type": "siglip", "text_config": {}, "vision_config": {}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(pretrained.PretrainedError, match=r"weight is \[48, 3, 8, 8\], but must be \[768, 3, 16, 16\]"):
        pretrained.read(str(folder))


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
        ({"text_config__num_hidden_layers": 3}, r"layers.2.layer_norm1.weight \[32\] is missing, but must hold our"),
        ({"text_config__num_hidden_layers": 1}, r"text_model.encoder.layers.1.* matches none of our variables"),
        ({"vision_config__image_size": 48}, r"size is {'height': 35, 'width': 35}, but must be {'height': 48"),
        ({"vision_config__image_size": [48, 32]}, r"image_size is \[48, 32\], but must be a whole number"),
    ],
)  # fmt: skip
def test_error_for_another_model_names_the_field(folder, fields, message):
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
        ("tokenizer_config.json", {"pad_token": "<none>"}, "pad_token is '<none>', but must be in the vocabulary"),
        ("tokenizer_config.json", {"do_lower_case": False}, "do_lower_case is False, but must be true, since our tok"),
    ],
)
def test_unsupported_preprocessing_is_refused(folder, name, fields, message):
    edit(folder / name, **fields)
    with pytest.raises(pretrained.PretrainedError, match=f"{name}: {message}"):
        pretrained.read(str(folder))


@pytest.mark.parametrize(("resample", "interpolation"), [(2, "bilinear"), (3, "bicubic"), (None, "bicubic")])
def test_interpolation_comes_from_the_processor(folder, tmp_path, resample, interpolation):
    edit(folder / "preprocessor_config.json", resample=resample)
    loaded = pretrained.read(str(folder))
    assert loaded.config.image_tower.interpolation == interpolation
    pretrained.write(loaded, str(tmp_path / "again"), "hugging_face")
    assert pretrained.read(str(tmp_path / "again")).config == loaded.config


def test_no_processor_is_written_unless_pictures_are_squashed(tmp_path):
    image = dataclasses.replace(CONFIG.image_tower, resize="letterbox")
    pretrained.write(
        checkpoint(dataclasses.replace(CONFIG, image_tower=image)), str(tmp_path / "model"), "hugging_face"
    )
    assert not (tmp_path / "model" / "preprocessor_config.json").exists()


def test_padding_and_punctuation_come_from_the_tokenizer(folder):
    edit(folder / "tokenizer_config.json", pad_token={"content": "<pad>"}, tokenizer_class="GemmaTokenizerFast")
    text = pretrained.read(str(folder)).config.text_tower
    assert (text.pad_id, text.punctuation) == (0, "keep")
    text = pretrained.read(str(FIXTURE)).config.text_tower
    assert (text.pad_id, text.punctuation) == (1, "remove")


@pytest.mark.parametrize("content", ["{", "[1]", '"text"', "[" * 100_000, "\x00"])
def test_error_names_the_config_that_is_no_json_object(folder, content):
    (folder / "config.json").write_text(content)
    with pytest.raises(pretrained.PretrainedError, match=r"config.json (cannot be read as JSON|holds no JSON object)"):
        pretrained.read(str(folder))


def test_no_tokenizer_is_written_without_a_vocabulary(tmp_path):
    pretrained.write(checkpoint(), str(tmp_path / "model"), "hugging_face")
    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert files == {"config.json", "model.safetensors", "preprocessor_config.json"}
    assert_same(pretrained.read(str(tmp_path / "model")), checkpoint())


def test_vocabulary_of_gemma_size_gets_a_tokenizer_of_both_versions(tmp_path, monkeypatch):
    made = with_plain_bpe(pretrained.read(str(FIXTURE)))
    monkeypatch.setattr(vocabularies, "GEMMA_PIECES", made.vocabulary_size)
    pretrained.write(made, str(tmp_path / "2"), "hugging_face")
    tokenizer = json.loads((tmp_path / "2" / "tokenizer_config.json").read_text())
    assert tokenizer["tokenizer_class"] == "PreTrainedTokenizerFast"  # transformers 4 has no Siglip2Tokenizer
    assert (tokenizer["pad_token"], tokenizer["eos_token"], tokenizer["padding_side"]) == ("<pad>", "<eos>", "right")
    text = pretrained.read(str(tmp_path / "2")).config.text_tower
    assert (text.pad_id, text.punctuation) == (0, "keep")
