"""Small checkpoints, and our model's outputs with them."""

import dataclasses
import io
import pathlib

import numpy as np
import sentencepiece
import tensorflow as tf

from models import objectives, pretrained, settings
from models.pretrained import Checkpoint, layout, vocabularies
from models.pretrained.image_tower import PretrainedImageTower
from models.towers.image_tower import ImageTower

FIXTURE = pathlib.Path(__file__).parents[2] / "fixtures" / "hugging_face_siglip"
CONFIG = settings.SiglipSettings(
    settings.ImageTowerSettings(size=24, patch=8, width=24, depth=2, heads=3, mlp_dim=40),
    settings.TextTowerSettings(length=5, width=16, depth=1, heads=2, mlp_dim=24, punctuation="remove"),
)
WORDS = 30


def checkpoint(config: settings.SiglipSettings = CONFIG, words: int = WORDS, seed: int = 0) -> Checkpoint:
    """Random weights, with random biases and norms too, so that every mix-up changes the output."""
    generator = np.random.default_rng(seed)
    shapes = layout.shapes(config, words)
    weights = {name: generator.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    return Checkpoint(config, weights, None, "made up")


def assert_same(one: Checkpoint, other: Checkpoint) -> None:
    """All weights are equal, bit for bit."""
    assert one.weights.keys() == other.weights.keys()
    for name, value in one.weights.items():
        np.testing.assert_array_equal(value.view(np.uint32), other.weights[name].view(np.uint32), err_msg=name)


def answers(loaded: Checkpoint, images: np.ndarray, token_ids: np.ndarray) -> dict[str, np.ndarray]:
    """Embeddings and logits of our objective with the checkpoint's weights."""
    objective = objectives.create(loaded.config, loaded.vocabulary_size)
    pretrained.restore(objective.variables, loaded, config=loaded.config)
    image, text = objective.embed_image(tf.constant(images)), objective.embed_text(tf.constant(token_ids))
    return {
        "image_embedding": image.numpy(),
        "text_embedding": text.numpy(),
        "logits": objective.logits(image, text).numpy(),
    }


def tower_output(loaded: PretrainedImageTower, images: np.ndarray, **change: object) -> np.ndarray:
    """What the image tower pools with the checkpoint's weights; `change` has other settings of the tower."""
    config = dataclasses.replace(loaded.config.image_tower, **change)
    tower = ImageTower(config, name="image_tower")
    tower(tf.zeros([1, config.size, config.size, 3]))
    pretrained.restore(tower.variables, loaded, ("image_tower",))
    return tower(tf.constant(images)).numpy()


def changed(loaded: Checkpoint, **weights: np.ndarray) -> Checkpoint:
    """The checkpoint with other weights, by name with "." for "/"."""
    return dataclasses.replace(loaded, weights=loaded.weights | {k.replace(".", "/"): v for k, v in weights.items()})


def plain_bpe() -> bytes:
    """A BPE vocabulary that changes no text, with bytes for unknown characters, as Gemma's."""
    trained = io.BytesIO()
    corpus = ["a photo of a cat and a dog", "two red rings, and one blue disc!", "don't stop: it is a test"] * 9
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=trained, vocab_size=330, hard_vocab_limit=False, minloglevel=2,
        model_type="bpe", byte_fallback=True, add_dummy_prefix=False, remove_extra_whitespaces=False,
        normalization_rule_name="identity", user_defined_symbols=["<table>"],
        pad_id=0, eos_id=1, bos_id=2, unk_id=3, eos_piece="<eos>", bos_piece="<bos>",
    )  # fmt: skip
    return trained.getvalue()


def with_plain_bpe(loaded: Checkpoint) -> Checkpoint:
    """The checkpoint with the vocabulary of `plain_bpe`, random token embeddings and SigLIP 2's rules for texts."""
    vocabulary = plain_bpe()
    rows = vocabularies.load(vocabulary, "made up").get_piece_size()
    text = dataclasses.replace(loaded.config.text_tower, pad_id=0, punctuation="keep")
    embedding = np.random.default_rng(0).normal(0, 0.3, [rows, text.width]).astype(np.float32)
    config = dataclasses.replace(loaded.config, text_tower=text)
    weights = loaded.weights | {"text_tower/token_embedding/embeddings": embedding}
    return Checkpoint(config, weights, vocabulary, "made up")
