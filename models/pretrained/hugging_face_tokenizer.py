"""The vocabulary and the tokenizer settings of a Hugging Face folder."""

import dataclasses
import os
from typing import Any

from models import settings
from models.pretrained import vocabularies
from models.pretrained.checkpoint import Checkpoint
from models.pretrained.errors import PretrainedError
from models.pretrained.hugging_face_config import read_json

_VOCABULARIES = ("spiece.model", "tokenizer.model", "sentencepiece.bpe.model")
_CONFIG = "tokenizer_config.json"
_SIGLIP, _SIGLIP_2 = "SiglipTokenizer", "Siglip2Tokenizer"


def read_vocabulary(folder: str) -> bytes | None:
    """Returns the folder's SentencePiece model, or None; tokenizer.json holds the same pieces, but is not read."""
    for name in _VOCABULARIES:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                return file.read()
    return None


def with_tokenizer(
    config: settings.SiglipSettings, folder: str, vocabulary: bytes | None, rows: int
) -> settings.SiglipSettings:
    """Returns the settings with the padding and punctuation rule of tokenizer_config.json, or SigLIP's if it has none.

    text_config.pad_token_id is ignored: no published model uses it, and SigLIP 2's is wrong.

    Raises:
      PretrainedError: the tokenizer keeps capitals, or its padding token is not in the vocabulary.
    """
    given = read_json(folder, _CONFIG) if os.path.isfile(os.path.join(folder, _CONFIG)) else {}
    where = f"{folder}/{_CONFIG}"
    kind = str(given.get("tokenizer_class", "")).removesuffix("Fast")
    if kind == _SIGLIP and given.get("do_lower_case", True) is not True:
        raise PretrainedError(
            f"{where}: do_lower_case is {given['do_lower_case']!r}, but must be true, since our tokenizer always "
            "lower-cases; correct it, or name another model's folder"
        )
    pad = given.get("pad_token")
    pad = pad.get("content") if isinstance(pad, dict) else pad
    pad_id = vocabularies.pad_id(rows)
    if vocabulary is not None and pad is not None:
        pieces = vocabularies.load(vocabulary, folder)
        pad_id = pieces.piece_to_id(str(pad))
        if pieces.id_to_piece(pad_id) != pad:
            raise PretrainedError(f"{where}: pad_token is {pad!r}, but must be in the vocabulary; correct either file")
    strips = kind == _SIGLIP if kind else vocabularies.strips_punctuation(rows)
    text = dataclasses.replace(config.text_tower, pad_id=pad_id, strip_punctuation=strips)
    return dataclasses.replace(config, text_tower=text)


def write_vocabulary(checkpoint: Checkpoint, vocabulary: bytes, folder: str) -> dict[str, dict[str, Any]]:
    """Writes the checkpoint's vocabulary to the folder.

    Returns:
      {file name: fields} of the JSON files with which transformers tokenizes like our served model. SiglipTokenizer
      always removes punctuation; Siglip2Tokenizer, for Gemma's vocabulary, never does (transformers 5).
    """
    text = checkpoint.config.text_tower
    pieces = vocabularies.load(vocabulary, checkpoint.source)
    special = {
        "eos_token": pieces.id_to_piece(pieces.eos_id()),
        "unk_token": pieces.id_to_piece(pieces.unk_id()),
        "pad_token": pieces.id_to_piece(text.pad_id),
    }
    how: dict[str, Any] = {"tokenizer_class": _SIGLIP, "do_lower_case": True}
    name = _VOCABULARIES[0]
    if checkpoint.vocabulary_size == vocabularies.GEMMA_PIECES:
        special["bos_token"] = pieces.id_to_piece(pieces.bos_id())
        how = {"tokenizer_class": _SIGLIP_2, "add_bos_token": False, "add_eos_token": True, "padding_side": "right"}
        name = _VOCABULARIES[1]
    with open(os.path.join(folder, name), "wb") as file:
        file.write(vocabulary)
    config = {**special, **how, "model_max_length": text.length, "processor_class": "SiglipProcessor"}
    return {_CONFIG: config, "special_tokens_map.json": special}
