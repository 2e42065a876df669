"""The rules of a Hugging Face tokenizer are followed, or stated, or refused by name."""

import json

import pytest

from models import pretrained
from models.pretrained import __main__, hugging_face_tokenizer, vocabularies
from models.pretrained.hugging_face_vocabulary import write as write_vocabulary
from tests.models.pretrained.test_hugging_face import edit
from tests.models.pretrained.tiny import FIXTURE, with_plain_bpe

TOKENIZERS = [
    ({"do_lower_case": False}, "do_lower_case is False, but must be true, since our tokenizer always lower-cases"),
    ({"do_lower_case": False, "tokenizer_class": "GemmaTokenizer"}, "do_lower_case is False, but must be true"),
    ({"tokenizer_class": "CLIPTokenizer"}, "tokenizer_class is 'CLIPTokenizer', but must be one of SiglipTokenizer"),
    ({"padding_side": "left"}, "padding_side is 'left', but must be 'right'"),
    ({"truncation_side": "left"}, "truncation_side is 'left', but must be 'right'"),
    ({"sp_model_kwargs": {"enable_sampling": True}}, "sp_model_kwargs is {'enable_sampling': True}, but must be empty"),
    ({"model_max_length": 8}, "model_max_length is 8, but must be at least 16, the max_position_embeddings"),
    ({"auto_map": {"AutoTokenizer": ["x.Y", None]}}, "auto_map is .*names code that tokenizes and that is never run"),
    ({"pad_token": "<none>"}, "pad_token is '<none>', but must be in the vocabulary"),
    ({"pad_token": 7}, "pad_token is 7, but must be a piece of the vocabulary"),
    ({"eos_token": "<pad>"}, "eos_token is '<pad>', but must be '</s>', the vocabulary's own"),
    ({"tokenizer_class": "GemmaTokenizer", "add_bos_token": True}, "add_bos_token is True, but must be False"),
    ({"tokenizer_class": "Siglip2Tokenizer", "add_eos_token": False}, "add_eos_token is False, but must be True"),
]


@pytest.mark.parametrize(("fields", "message"), TOKENIZERS, ids=[str(fields) for fields, _ in TOKENIZERS])
def test_tokenizer_that_ours_cannot_follow_is_refused(folder, fields, message):
    edit(folder / "tokenizer_config.json", **fields)
    with pytest.raises(pretrained.PretrainedError, match=f"tokenizer_config.json: {message}"):
        pretrained.read(str(folder))


@pytest.mark.parametrize(
    ("kind", "rule", "notes"),
    [
        ("SiglipTokenizer", "remove", []),
        ("SiglipTokenizerFast", "remove", []),
        ("Siglip2Tokenizer", "keep", []),
        ("GemmaTokenizer", "keep", ["does not set add_bos_token and add_eos_token", "GemmaTokenizer keeps capitals"]),
        ("T5TokenizerFast", "keep", ["T5Tokenizer keeps capitals"]),
        (None, "remove", ["names no tokenizer_class; assumed: SiglipTokenizer, punctuation 'remove', lower-cased"]),
    ],
)
def test_class_of_the_tokenizer_decides_punctuation(folder, kind, rule, notes):
    edit(folder / "tokenizer_config.json", tokenizer_class=kind)
    loaded = pretrained.read(str(folder))
    assert loaded.config.text_tower.punctuation == rule
    assert len(loaded.notes) == len(notes)
    for note, expected in zip(loaded.notes, notes, strict=True):
        assert expected in note.text


def test_absent_tokenizer_is_stated(folder):
    (folder / "tokenizer_config.json").unlink()
    (note,) = pretrained.read(str(folder)).notes
    assert "tokenizer_config.json is missing; assumed: SiglipTokenizer, punctuation 'remove'" in note.text


LOWER, BLANK = {"type": "Lowercase"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
TEXT, EOS = {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}


@pytest.mark.parametrize(
    ("normalizer", "single", "message"),
    [
        ({"type": "Sequence", "normalizers": [LOWER, BLANK]}, [TEXT, EOS], None),
        (BLANK, [TEXT, EOS], None),
        ({"type": "StripAccents"}, [TEXT, EOS], r"normalizer {'type': 'StripAccents'} changes texts"),
        (
            {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"Regex": "[,.]"}, "content": ""}]},
            [TEXT, EOS],
            "normalizer {'type': 'Replace'.* changes texts",
        ),
        (LOWER, [EOS, TEXT], r"post_processor gives \['</s>', 'Sequence'\], but must be the text and an end"),
        (LOWER, [TEXT], r"post_processor gives \['Sequence'\], but must be the text and an end"),
    ],
)
def test_steps_of_tokenizer_json_are_checked(folder, normalizer, single, message):
    edit(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    content = {"normalizer": normalizer, "post_processor": {"type": "TemplateProcessing", "single": single}}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    if message is None:
        keeps_capitals = [note.text for note in pretrained.read(str(folder)).notes]
        assert len(keeps_capitals) == (normalizer == BLANK)
    else:
        with pytest.raises(pretrained.PretrainedError, match=f"tokenizer.json: {message}"):
            pretrained.read(str(folder))


def test_siglip_2_states_its_choice_of_punctuation(tmp_path, monkeypatch):
    made = with_plain_bpe(pretrained.read(str(FIXTURE)))
    monkeypatch.setattr(vocabularies, "GEMMA_PIECES", made.vocabulary_size)
    pretrained.write(made, str(tmp_path / "2"), "hugging_face")
    pretrained.write(made, str(tmp_path / "2.npz"))
    for path in ("2", "2.npz"):
        loaded = pretrained.read(str(tmp_path / path), size=35 if path == "2.npz" else None)
        assert loaded.config.text_tower.punctuation == "keep"
        assert loaded.config.text_tower.pad_id == 0
        assert f"# {vocabularies.SIGLIP_2_PUNCTUATION}\n" in __main__.describe(loaded)
        assert "TextTower.punctuation = 'keep'" in __main__.describe(loaded)


def test_plain_bpe_vocabulary_is_written_with_all_rules_in_tokenizer_json(tmp_path):
    made = with_plain_bpe(pretrained.read(str(FIXTURE)))
    config = write_vocabulary(made, made.vocabulary, str(tmp_path))["tokenizer_config.json"]
    assert (config["tokenizer_class"], config["padding_side"]) == ("PreTrainedTokenizerFast", "right")
    assert (config["pad_token"], config["eos_token"], config["add_bos_token"]) == ("<pad>", "<eos>", False)
    fast = json.loads((tmp_path / hugging_face_tokenizer.FAST).read_text())
    pieces = vocabularies.load(made.vocabulary, "made up")
    assert fast["model"]["vocab"] == {pieces.id_to_piece(i): i for i in range(made.vocabulary_size)}
    assert {"type": "Lowercase"} in fast["normalizer"]["normalizers"]
    assert [one["content"] for one in fast["added_tokens"]] == ["<pad>", "<eos>", "<bos>", "<unk>", "<table>"]
