"""VocabularyTrainer's work."""

import io
import os
import random
from collections.abc import Iterator
from typing import Any

import sentencepiece
import tensorflow as tf
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import path_utils

from components.model_resolver.executor import present
from models.inputs import tfrecords, tokenizer
from models.pretrained import saved_model

VOCABULARY_KEY = "vocabulary"
PATH_KEY = "path"
SHA256_KEY = "sha256"
SIZE_KEY = "size"
SENTENCES_KEY = "max_sentences"
SEED_KEY = "seed"
MODEL_FILE = "vocabulary.model"


class Executor(base_executor.BaseExecutor):
    """Writes vocabulary.model."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Reads the captions of the train split and trains the vocabulary, or copies the file or the model's.

        Raises:
          ValueError: SentencePiece refuses the size for these captions, or there is no such file.
        """
        inputs = present(input_dict, standard_component_specs.BASE_MODEL_KEY)
        if inputs.get(standard_component_specs.BASE_MODEL_KEY):
            uri = artifact_utils.get_single_uri(inputs[standard_component_specs.BASE_MODEL_KEY])
            _write(saved_model.vocabulary(path_utils.serving_model_path(uri)), output_dict)
            return
        path = exec_properties[PATH_KEY]
        if path:
            _write(read_file(path), output_dict)
            return
        split = artifact_utils.get_split_uri(input_dict[standard_component_specs.EXAMPLES_KEY], "train")
        captions = draw(read_captions(split), exec_properties[SENTENCES_KEY], exec_properties[SEED_KEY])
        _write(train(captions, exec_properties[SIZE_KEY]), output_dict)


def _write(model: bytes, output_dict: dict[str, list[types.Artifact]]) -> None:
    folder = artifact_utils.get_single_uri(output_dict[VOCABULARY_KEY])
    tf.io.gfile.makedirs(folder)
    with tf.io.gfile.GFile(os.path.join(folder, MODEL_FILE), "wb") as file:
        file.write(model)


def read_file(path: str) -> bytes:
    """The bytes of a vocabulary file; ValueError where there is none."""
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            return bytes(file.read())
    except tf.errors.OpError as error:
        raise ValueError(f"Vocabulary.path is {path!r}, which cannot be read ({error.message}); correct it") from error


def read_captions(split: str) -> Iterator[str]:
    """Lower-cased captions of all shards in a split's folder, in the order they lie there."""
    for batch in tfrecords.read_shards([os.path.join(split, "*")]).batch(1024):
        for caption in tfrecords.parse_captions(batch).flat_values.numpy():
            yield caption.decode().lower()


def draw(captions: Iterator[str], count: int, seed: int) -> list[str]:
    """At most `count` captions, each with the same chance (reservoir sampling)."""
    generator = random.Random(seed)
    drawn: list[str] = []
    for seen, caption in enumerate(captions):
        if len(drawn) < count:
            drawn.append(caption)
        elif (place := generator.randrange(seen + 1)) < count:
            drawn[place] = caption
    return drawn


def train(captions: list[str], size: int) -> bytes:
    """The serialized SentencePiece model; the same captions give the same bytes."""
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(captions),
            model_writer=model,
            vocab_size=size,
            hard_vocab_limit=False,  # fewer pieces, not an error, where the captions are few
            model_type="unigram",
            character_coverage=0.9995,
            byte_fallback=True,  # any script can be spelled; no caption is lost to "unknown"
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
