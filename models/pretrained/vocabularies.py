"""SentencePiece models that come with checkpoints."""

import re

import sentencepiece

from models.pretrained.errors import PretrainedError

GEMMA_PIECES = 256_000
_EXTRA_PIECE = re.compile(r"^▁?<extra_id_\d+>$")
_PIECE_TAG = 0x0A  # ModelProto.pieces: field 1, length-delimited


def load(model: bytes, source: str) -> sentencepiece.SentencePieceProcessor:
    """The model's processor; PretrainedError where it is no SentencePiece model."""
    pieces = sentencepiece.SentencePieceProcessor()
    try:
        pieces.LoadFromSerializedProto(model)
    except (RuntimeError, TypeError) as error:
        raise PretrainedError(
            f"{source}: the vocabulary is no SentencePiece model ({error}); take the file again, or name another"
        ) from error
    return pieces


def fit(model: bytes, rows: int, source: str) -> bytes:
    """The model with as many pieces as the token embedding has rows.

    mT5's vocabulary, which the multilingual SigLIP uses, ends in 100 pieces "<extra_id_N>" that no caption has and that
    SigLIP has no embedding for; they are left out, so that no id can lie outside the embedding.

    Raises:
      PretrainedError: the sizes differ for any other reason.
    """
    pieces = load(model, source)
    size = pieces.get_piece_size()
    if size == rows:
        return model
    if size > rows and all(_EXTRA_PIECE.match(pieces.id_to_piece(i)) for i in range(rows, size)):
        return _first_pieces(model, rows)
    raise PretrainedError(
        f"{source}: the vocabulary has {size:,} pieces, but text_tower/token_embedding/embeddings has {rows:,} rows; "
        "name the vocabulary that the checkpoint was trained with"
    )


def is_cut_from(model: bytes, given: bytes) -> bool:
    """Whether `fit` makes the model out of the given one."""
    try:
        return fit(given, load(model, "").get_piece_size(), "") == model
    except PretrainedError:
        return False


def pad_id(rows: int) -> int:
    """What a text is filled up with, by the size of the vocabulary: SigLIP 2 uses Gemma's and its padding, 0.

    SigLIP pads with the end of sentence of its T5 vocabularies, which is 1, as is VocabularyTrainer's padding.
    """
    return 0 if rows == GEMMA_PIECES else 1


def strips_punctuation(rows: int) -> bool:
    """Whether texts lose punctuation for zero-shot, by the size of the vocabulary: in SigLIP, but not in SigLIP 2."""
    return rows != GEMMA_PIECES


def _first_pieces(model: bytes, count: int) -> bytes:
    """The serialized ModelProto without the pieces from `count` on; all other fields are kept as they are."""
    kept, position, seen = bytearray(), 0, 0
    while position < len(model):
        start = position
        tag, position = _varint(model, position)
        wire_type = tag & 7
        if wire_type == 0:
            _, position = _varint(model, position)
        elif wire_type == 2:
            length, position = _varint(model, position)
            position += length
        else:
            position += {1: 8, 5: 4}[wire_type]
        is_piece = tag == _PIECE_TAG
        if not is_piece or seen < count:
            kept += model[start:position]
        seen += is_piece
    return bytes(kept)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at `position`, in protocol buffers' base-128 encoding, and where it ends."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
