"""Writes the vocabulary and the tokenizer of a Hugging Face folder, for transformers 4 and 5."""

import json
import os
from collections.abc import Sequence
from typing import Any

from models.pretrained import vocabularies
from models.pretrained.checkpoint import Checkpoint
from models.pretrained.hugging_face_tokenizer import CONFIG, FAST, SIGLIP, VOCABULARIES
from models.pretrained.sentencepiece_file import Piece, SentencePieceFile

# tokenizer.json says all that the tokenizer does, so both versions do the same. Of the classes for Gemma's vocabulary,
# transformers 4 does not have Siglip2Tokenizer, and GemmaTokenizer keeps capitals.
_FAST_CLASS = "PreTrainedTokenizerFast"


def punctuation(checkpoint: Checkpoint) -> str:
    """Returns the rule for punctuation that the written tokenizer follows."""
    vocabulary = checkpoint.vocabulary
    is_fast = vocabularies.is_gemma(checkpoint.vocabulary_size)
    if vocabulary is not None:
        is_fast = SentencePieceFile(vocabulary).is_plain_bpe
    return "keep" if is_fast else "remove"


def write(checkpoint: Checkpoint, vocabulary: bytes, folder: str) -> dict[str, dict[str, Any]]:
    """Writes the checkpoint's vocabulary to the folder.

    Args:
      checkpoint: the model.
      vocabulary: its SentencePiece model.
      folder: an existing folder.

    Returns:
      {file name: fields} of the JSON files with which transformers tokenizes like our served model. SiglipTokenizer
      always removes punctuation. BPE vocabularies that change no text (Gemma's) get a tokenizer.json, which keeps it.
    """
    text = checkpoint.config.text_tower
    pieces = vocabularies.load(vocabulary, checkpoint.source)
    special = {
        "eos_token": pieces.id_to_piece(pieces.eos_id()),
        "unk_token": pieces.id_to_piece(pieces.unk_id()),
        "pad_token": pieces.id_to_piece(text.pad_id),
    }
    file = SentencePieceFile(vocabulary)
    how: dict[str, Any] = {"tokenizer_class": SIGLIP, "do_lower_case": True}
    name = VOCABULARIES[0]
    if file.is_plain_bpe:
        how = {"tokenizer_class": _FAST_CLASS, "add_bos_token": False, "add_eos_token": True}
        name = VOCABULARIES[1]
        with open(os.path.join(folder, FAST), "w", encoding="utf-8") as fast:
            json.dump(_fast_tokenizer(file.pieces, special), fast, ensure_ascii=False)
    with open(os.path.join(folder, name), "wb") as written:
        written.write(vocabulary)
    config = {
        **special,
        **how,
        "padding_side": "right",
        "model_max_length": text.length,
        "clean_up_tokenization_spaces": False,
        "processor_class": "SiglipProcessor",
    }
    return {CONFIG: config, "special_tokens_map.json": special}


def _fast_tokenizer(pieces: Sequence[Piece], special: dict[str, str]) -> dict[str, Any]:
    """Returns the content of tokenizer.json: lower-case, then BPE with bytes for unknown characters, then one end."""
    vocabulary = {piece.text: piece.id for piece in pieces}
    eos = special["eos_token"]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": piece.id,
                "content": piece.text,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": piece.is_user_defined,
                "special": not piece.is_user_defined,
            }
            for piece in pieces
            if piece.is_control or piece.is_unknown or piece.is_user_defined
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Lowercase"},
                {"type": "Replace", "pattern": {"String": " "}, "content": vocabularies.BLANK},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": eos, "type_id": 0}}],
            "pair": [
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": eos, "type_id": 0}},
                {"Sequence": {"id": "B", "type_id": 1}},
                {"SpecialToken": {"id": eos, "type_id": 1}},
            ],
            "special_tokens": {eos: {"id": eos, "ids": [vocabulary[eos]], "tokens": [eos]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": vocabularies.BLANK}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": special["unk_token"],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": any(piece.is_byte for piece in pieces),
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": _merges(pieces),
        },
    }


def _merges(pieces: Sequence[Piece]) -> list[str]:
    """Returns the pairs "left right" that BPE merges, the pair that makes the piece of the highest score first."""
    mergeable = {piece.text for piece in pieces if piece.is_normal}
    made = sorted((piece for piece in pieces if piece.is_normal), key=lambda piece: -piece.score)
    return [
        f"{piece.text[:cut]} {piece.text[cut:]}"
        for piece in made
        for cut in range(1, len(piece.text))
        if piece.text[:cut] in mergeable and piece.text[cut:] in mergeable
    ]
