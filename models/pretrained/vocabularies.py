"""SentencePiece models that belong to checkpoints."""

import re

import sentencepiece

from models.pretrained.errors import PretrainedError
from models.pretrained.sentencepiece_file import first_pieces

GEMMA_PIECES = 256_000
BLANK = "\u2581"  # SentencePiece's sign for a blank
SIGLIP_2_PUNCTUATION = (
    "SigLIP 2 has no one rule for punctuation; chosen: TextTower.punctuation = 'keep', as in Hugging Face's tokenizer "
    "and big_vision's SigLIP2_demo.ipynb; big_vision's evaluators and open_clip do as 'canonicalize'"
)
_EXTRA_PIECE = re.compile(r"^▁?<extra_id_\d+>$")


def load(model: bytes, source: str) -> sentencepiece.SentencePieceProcessor:
    """Returns a processor of the model; PretrainedError if the bytes are not a SentencePiece model."""
    pieces = sentencepiece.SentencePieceProcessor()
    try:
        pieces.LoadFromSerializedProto(model)
    except (RuntimeError, TypeError) as error:
        raise PretrainedError(
            f"{source}: the vocabulary is not a SentencePiece model ({error}); get the file again, or name another"
        ) from error
    return pieces


def fit(model: bytes, rows: int, source: str) -> bytes:
    """Returns the model with as many pieces as the token embedding has rows.

    The multilingual SigLIP uses mT5's vocabulary, which ends in 100 pieces "<extra_id_N>". No caption has them, and
    SigLIP has no embeddings for them. They are cut off, so that every id has a row.

    Raises:
      PretrainedError: the sizes differ for another reason.
    """
    pieces = load(model, source)
    size = pieces.get_piece_size()
    if size == rows:
        return model
    if size > rows and all(_EXTRA_PIECE.match(pieces.id_to_piece(i)) for i in range(rows, size)):
        return first_pieces(model, rows)
    raise PretrainedError(
        f"{source}: the vocabulary has {size:,} pieces, but text_tower/token_embedding/embeddings has {rows:,} rows; "
        "name the vocabulary that the checkpoint was trained with"
    )


def is_cut_from(model: bytes, given: bytes) -> bool:
    """Whether `fit` turns the given model into `model`."""
    try:
        return fit(given, load(model, "").get_piece_size(), "") == model
    except PretrainedError:
        return False


def pad_id(rows: int) -> int:
    """Returns the id that pads texts, which follows from the number of pieces.

    SigLIP 2 uses Gemma's vocabulary and its padding, 0. SigLIP pads with 1, the end of sentence of its T5 vocabularies;
    VocabularyTrainer pads with 1, too.
    """
    return 0 if is_gemma(rows) else 1


def is_gemma(rows: int) -> bool:
    """Whether the vocabulary is Gemma's, as in SigLIP 2, which follows from the number of pieces."""
    return rows == GEMMA_PIECES
