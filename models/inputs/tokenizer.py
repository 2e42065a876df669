"""Turns raw text into token ids inside the graph (SentencePiece by tensorflow-text), so that serving cannot drift."""

import re
import string

import numpy as np
import sentencepiece
import tensorflow as tf
import tensorflow_text as tf_text

from models import settings

# Ids in the vocabularies that VocabularyTrainer makes. Other vocabularies may differ; their model files have the ids.
PAD_ID = 1
EOS_ID = 0
UNKNOWN_ID = 2

_PUNCTUATION = "[" + re.escape(string.punctuation) + "]"
BLANKS = r"[\s\v\x1c-\x1f\x{85}\p{Z}]+"  # what Python's re calls \s; that of TensorFlow's RE2 is ASCII's


class Tokenizer(tf.Module):
    """string [N] -> int32 [N, length]: lower-cases, cuts to length - 1 pieces, adds an end of sentence, and pads.

    It always pads to the full length: the text tower pools its last position (SigLIP, section 4).

    Create it after setting the random seed: setting a seed makes TensorFlow free the resources of eager ops.
    """

    def __init__(self, model_path: str, config: settings.TextInput) -> None:
        """Reads a SentencePiece model: VocabularyTrainer's, or a published one, such as SigLIP's 32,000 pieces.

        Args:
          model_path: path of the model file.
          config: length, pad id, and the end-of-sentence id that the tower expects.

        Raises:
          ValueError: the file is no SentencePiece model, or has no end of sentence, or other ids than `config`.
        """
        super().__init__(name="tokenizer")
        model, pieces = _read(model_path)
        self.config = config
        self.length = config.length
        self._path, self.asset = model_path, tf.saved_model.Asset(model_path)
        self.eos_id, self.vocabulary_size = _require_ids(model_path, pieces, config)
        self._pieces = tf_text.SentencepieceTokenizer(model=model, out_type=tf.int32, add_bos=False, add_eos=False)

    def __call__(self, text: tf.Tensor) -> tf.Tensor:
        """Tokenizes captions, in training and evaluation."""
        pieces = self._pieces.tokenize(tf.strings.lower(text, encoding="utf-8"))[:, : self.length - 1]
        ends = tf.fill([tf.size(text), 1], self.eos_id)
        ids = tf.concat([pieces, ends], axis=1).to_tensor(self.config.pad_id, shape=[None, self.length])
        return tf.ensure_shape(ids, [None, self.length])

    def text_ids(self) -> np.ndarray:
        """The ids that texts consist of, int32: all but those of control, unknown and unused pieces."""
        _, pieces = _read(self._path)
        others = (pieces.is_control, pieces.is_unknown, pieces.is_unused)
        return np.array([i for i in range(self.vocabulary_size) if not any(is_one(i) for is_one in others)], np.int32)

    def served(self, text: tf.Tensor) -> tf.Tensor:
        """Tokenizes texts and labels, in serving, after `without_punctuation`."""
        return self(without_punctuation(text, self.config.punctuation))

    def pieces(self, ids: tf.Tensor) -> tf.Tensor:
        """The pieces of these ids, as strings of the same shape."""
        return self._pieces.id_to_string(ids)


def without_punctuation(text: tf.Tensor, rule: str) -> tf.Tensor:
    """Applies a rule for ASCII punctuation: string [N] -> string [N].

    Args:
      text: texts in UTF-8.
      rule: "keep" changes nothing. "remove" deletes punctuation, as SiglipTokenizer.canonicalize_text of transformers
        does. "canonicalize" first makes each underscore a blank, as canonicalize_text of big_vision does. Both make
        one blank of several, and none at the ends.
    """
    if rule == "keep":
        return text
    if rule == "canonicalize":
        text = tf.strings.regex_replace(text, "_", " ")
    text = tf.strings.regex_replace(text, _PUNCTUATION, "")
    return tf.strings.regex_replace(tf.strings.regex_replace(text, BLANKS, " "), "^ | $", "")


def _read(path: str) -> tuple[bytes, sentencepiece.SentencePieceProcessor]:
    with tf.io.gfile.GFile(path, "rb") as file:
        model = file.read()
    pieces = sentencepiece.SentencePieceProcessor()
    try:
        pieces.LoadFromSerializedProto(model)
    except RuntimeError as error:
        raise ValueError(f"{path} is no SentencePiece model ({error}); name a file such as vocabulary.model") from error
    return model, pieces


def _require_ids(
    path: str, pieces: sentencepiece.SentencePieceProcessor, config: settings.TextInput
) -> tuple[int, int]:
    """Checks the ids; returns the id of the end of sentence, and the number of pieces."""
    eos_id, size = pieces.eos_id(), pieces.get_piece_size()
    if eos_id < 0:
        raise ValueError(f"{path} has no end of sentence; train it with an eos_id, as VocabularyTrainer does")
    if config.expected_eos_id not in (None, eos_id):
        raise ValueError(
            f"TextTower.eos_id is {config.expected_eos_id}, but {path} ends sentences with {eos_id}; set it to {eos_id}"
        )
    fits = sorted({eos_id, pieces.pad_id()} - {-1})  # SigLIP's published vocabularies pad with their end of sentence
    if config.pad_id not in fits:
        raise ValueError(
            f"TextTower.pad_id is {config.pad_id}, but in {path} padding or the end of sentence is "
            f"{' or '.join(map(str, fits))}; set it to the one that the model was trained with"
        )
    return eos_id, size
