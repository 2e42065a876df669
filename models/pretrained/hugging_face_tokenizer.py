"""Reads the vocabulary and the tokenizer's rules of a Hugging Face folder."""

import dataclasses
import os
from typing import Any

from models import settings
from models.pretrained import vocabularies
from models.pretrained.checkpoint import Note
from models.pretrained.errors import PretrainedError
from models.pretrained.json_files import read_json

CONFIG, FAST = "tokenizer_config.json", "tokenizer.json"
VOCABULARIES = ("spiece.model", "tokenizer.model", "sentencepiece.bpe.model")
SIGLIP, SIGLIP_2, _GEMMA = "SiglipTokenizer", "Siglip2Tokenizer", "GemmaTokenizer"
# {class, without "Fast": its rule for punctuation}. Of these classes, SiglipTokenizer alone has a rule of its own.
_PUNCTUATION = {
    SIGLIP: "remove",
    **dict.fromkeys((SIGLIP_2, _GEMMA, "T5Tokenizer", "PreTrainedTokenizer", "TokenizersBackend"), "keep"),
}
_PADS = {SIGLIP: "</s>", SIGLIP_2: "<pad>", _GEMMA: "<pad>"}  # transformers' defaults
# {normalizer of tokenizer.json: values of its pattern that our tokenizer matches}; None accepts any.
_NORMALIZERS: dict[str, tuple[Any, ...] | None] = {
    "Lowercase": None,
    "Precompiled": None,  # SentencePiece's own, which the vocabulary's file holds
    "Prepend": None,
    "Strip": None,
    "Replace": ({"String": " "}, {"Regex": " {2,}"}),
}


def read_vocabulary(folder: str) -> bytes | None:
    """Returns the folder's SentencePiece model, or None; tokenizer.json holds the same pieces, but is not read."""
    for name in VOCABULARIES:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                return file.read()
    return None


def with_tokenizer(
    config: settings.SiglipSettings, folder: str, vocabulary: bytes | None, rows: int
) -> tuple[settings.SiglipSettings, tuple[Note, ...]]:
    """Adds the padding and the punctuation rule of tokenizer_config.json to the settings.

    text_config.pad_token_id is ignored: no published model uses it, and SigLIP 2's is wrong.

    Args:
      config: the settings that config.json gives.
      folder: the checkpoint.
      vocabulary: its SentencePiece model, if it has one.
      rows: number of rows of the token embedding.

    Returns:
      The settings, and notes on what the reader assumed.

    Raises:
      PretrainedError: the tokenizer does something that ours cannot do, or its tokens are not in the vocabulary.
    """
    given = read_json(folder, CONFIG) if os.path.isfile(os.path.join(folder, CONFIG)) else {}
    rules = _Rules(f"{folder}/{CONFIG}", given, SIGLIP_2 if vocabularies.is_gemma(rows) else SIGLIP)
    fast = read_json(folder, FAST) if os.path.isfile(os.path.join(folder, FAST)) and rules.kind != SIGLIP else {}
    rules.require_supported(config.text_tower.length)
    steps = _normalizers(fast.get("normalizer"), f"{folder}/{FAST}")
    notes = rules.notes()
    notes += _ends(rules, fast, f"{folder}/{FAST}")
    if rules.kind not in (SIGLIP, SIGLIP_2) and "Lowercase" not in steps:
        notes.append(
            f"{rules.where}: {rules.kind} keeps capitals; assumed: texts are lower-cased, as big_vision trained SigLIP "
            "and SigLIP 2"
        )
    if vocabularies.is_gemma(rows) and _PUNCTUATION[rules.kind] == "keep":
        notes.append(vocabularies.SIGLIP_2_PUNCTUATION)
    pad_id = vocabularies.pad_id(rows)
    if vocabulary is not None:
        pieces = vocabularies.load(vocabulary, folder)
        pad_id = rules.piece_id(pieces, "pad_token", _PADS.get(rules.kind), pad_id)
        if rules.piece_id(pieces, "eos_token", None, pieces.eos_id()) != pieces.eos_id():
            raise rules.refuse("eos_token", f"{pieces.id_to_piece(pieces.eos_id())!r}, the vocabulary's own")
    text = dataclasses.replace(config.text_tower, pad_id=pad_id, punctuation=_PUNCTUATION[rules.kind])
    return dataclasses.replace(config, text_tower=text), tuple(Note("text_tower", note) for note in notes)


class _Rules:
    """The fields of tokenizer_config.json.

    Attributes:
      where: the file, for messages.
      kind: the tokenizer's class, without "Fast"; `usual` if the file does not name it.
    """

    def __init__(self, where: str, given: dict[str, Any], usual: str) -> None:
        self.where, self._given = where, given
        self.kind = str(given.get("tokenizer_class") or usual).removesuffix("Fast")

    def __getitem__(self, name: str) -> Any:
        return self._given.get(name)

    def refuse(self, field: str, rule: str) -> PretrainedError:
        return PretrainedError(
            f"{self.where}: {field} is {repr(self._given.get(field))[:200]}, but must be {rule}; correct it, or name "
            "another model's folder"
        )

    def require_supported(self, length: int) -> None:
        """Raises PretrainedError if the tokenizer does something that ours cannot do."""
        if self.kind not in _PUNCTUATION:
            raise self.refuse("tokenizer_class", f"one of {', '.join(_PUNCTUATION)}, whose rules we know")
        if self["auto_map"]:
            raise self.refuse("auto_map", "absent, since it names code that tokenizes and that is never run")
        if self._given.get("do_lower_case", True) is not True:
            raise self.refuse("do_lower_case", "true, since our tokenizer always lower-cases")
        for field in ("padding_side", "truncation_side"):
            if self._given.get(field, "right") != "right":
                raise self.refuse(field, "'right', since the text tower is pooled at its last position")
        if self["sp_model_kwargs"]:
            raise self.refuse("sp_model_kwargs", "empty, since our tokenizer has no such options")
        longest = self._given.get("model_max_length", length)
        if not isinstance(longest, int | float) or longest < length:
            raise self.refuse("model_max_length", f"at least {length}, the max_position_embeddings of config.json")

    def notes(self) -> list[str]:
        """Returns what is assumed because the file, or its class, is missing."""
        if self["tokenizer_class"]:
            return []
        shown = "is missing" if not self._given else "names no tokenizer_class"
        return [f"{self.where} {shown}; assumed: {self.kind}, punctuation {_PUNCTUATION[self.kind]!r}, lower-cased"]

    def piece_id(self, pieces: Any, field: str, usual: str | None, otherwise: int) -> int:
        """Returns the id of a special token; PretrainedError if it is not in the vocabulary."""
        token = self._given.get(field)
        token = token.get("content") if isinstance(token, dict) else token
        if field in self._given and not isinstance(token, str):
            raise self.refuse(field, "a piece of the vocabulary")
        if token is None and usual is not None and pieces.id_to_piece(pieces.piece_to_id(usual)) == usual:
            return pieces.piece_to_id(usual)
        if token is None:
            return otherwise
        found = pieces.piece_to_id(token)
        if pieces.id_to_piece(found) != token:
            raise PretrainedError(
                f"{self.where}: {field} is {token!r}, but must be in the vocabulary; correct either file"
            )
        return found


def _ends(rules: _Rules, fast: dict[str, Any], where: str) -> list[str]:
    """Checks that texts end with an end of sentence and have no beginning; returns notes if nothing says so."""
    if rules.kind == SIGLIP:
        return []
    template = (fast.get("post_processor") or {}).get("single")
    for field, ours in (("add_bos_token", False), ("add_eos_token", True)):
        if rules[field] not in (None, ours):
            raise rules.refuse(field, f"{ours}, as in big_vision, since our tokenizer adds an end of sentence only")
    if template and None in (rules["add_bos_token"], rules["add_eos_token"]):
        order = ["Sequence" if "Sequence" in part else part.get("SpecialToken", {}).get("id") for part in template]
        if len(order) != 2 or order[0] != "Sequence":
            raise PretrainedError(
                f"{where}: post_processor gives {order}, but must be the text and an end of sentence, as in "
                "big_vision; correct it, or set add_bos_token and add_eos_token in tokenizer_config.json"
            )
    elif rules.kind == _GEMMA and None in (rules["add_bos_token"], rules["add_eos_token"]):
        return [
            f"{rules.where} does not set add_bos_token and add_eos_token; assumed: false and true, as in big_vision, "
            "which are not GemmaTokenizer's defaults"
        ]
    return []


def _normalizers(given: Any, where: str) -> list[str]:
    """Returns the types of the normalizers of tokenizer.json; PretrainedError if ours does not do the same."""
    if given is None:
        return []
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "Sequence":
        return [name for one in given.get("normalizers", []) for name in _normalizers(one, where)]
    allowed = _NORMALIZERS.get(str(kind), ())
    if allowed is not None and given.get("pattern") not in allowed:
        raise PretrainedError(
            f"{where}: normalizer {repr(given)[:200]} changes texts, but our tokenizer only lower-cases them and "
            "applies the vocabulary's own rules; remove it, or name another model's folder"
        )
    return [str(kind)]
