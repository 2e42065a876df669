"""VocabularyTrainer's work."""

import io
import os
import random
from collections.abc import Iterator

import sentencepiece
import tensorflow as tf
from tfx.types import Artifact
from tfx.utils import path_utils

from components import declaration
from components.model_resolver import executor as model_resolver
from components.vocabulary_trainer.settings import VocabularySettings
from models.inputs import tfrecords, tokenizer
from models.pretrained import saved_model
from models.settings import configuration

MODEL_FILE = "vocabulary.model"


class Executor(declaration.Executor):
    """Writes vocabulary.model."""

    def run(
        self,
        examples: Artifact,
        vocabulary: Artifact,
        settings: str,
        base_model: Artifact | None = None,
    ) -> None:
        """Trains the vocabulary on the captions of the train split, or copies that of the model or the file.

        Raises:
          ValueError: SentencePiece refuses the size for these captions, or the file cannot be read.
        """
        wanted = configuration.parse(settings, VocabularySettings)
        if base_model is not None and model_resolver.exists(base_model):
            model = saved_model.vocabulary(path_utils.serving_model_path(base_model.uri))
        elif wanted.path:
            model = read_file(wanted.path)
        else:
            split = declaration.split_uri(examples, "train")
            captions = draw(read_captions(split), wanted.max_sentences, wanted.seed)
            model = train(captions, wanted.size)
        tf.io.gfile.makedirs(vocabulary.uri)
        with tf.io.gfile.GFile(os.path.join(vocabulary.uri, MODEL_FILE), "wb") as file:
            file.write(model)


def read_file(path: str) -> bytes:
    """Reads a vocabulary file; raises ValueError if it cannot be read."""
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            return bytes(file.read())
    except tf.errors.OpError as error:
        raise ValueError(f"Vocabulary.path is {path!r}, which cannot be read ({error.message}); correct it") from error


def read_captions(split: str) -> Iterator[str]:
    """Yields the lower-cased captions of all shards in a split's folder, in the shards' order."""
    for batch in tfrecords.read_shards([os.path.join(split, "*")]).batch(1024):
        for caption in tfrecords.parse_captions(batch).flat_values.numpy():
            yield caption.decode().lower()


def draw(captions: Iterator[str], count: int, seed: int) -> list[str]:
    """Draws at most `count` captions, each with the same probability (reservoir sampling)."""
    generator = random.Random(seed)
    drawn: list[str] = []
    for seen, caption in enumerate(captions):
        if len(drawn) < count:
            drawn.append(caption)
        elif (place := generator.randrange(seen + 1)) < count:
            drawn[place] = caption
    return drawn


def train(captions: list[str], size: int) -> bytes:
    """Trains a SentencePiece model and returns its serialised proto; the same captions give the same bytes."""
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(captions),
            model_writer=model,
            vocab_size=size,
            hard_vocab_limit=False,  # few captions give fewer pieces, not an error
            model_type="unigram",
            character_coverage=0.9995,
            byte_fallback=True,  # spells any script, so that no caption becomes "unknown"
            eos_id=tokenizer.EOS_ID,
            pad_id=tokenizer.PAD_ID,
            unk_id=tokenizer.UNKNOWN_ID,
            bos_id=-1,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ValueError(
            f"SentencePiece made no vocabulary of {size} pieces from {len(captions)} captions: {error}; "
            "change Vocabulary.size (it must leave room for 256 bytes and every character)"
        ) from error
    return model.getvalue()
