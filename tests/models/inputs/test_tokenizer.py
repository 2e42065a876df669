import numpy as np
import pytest
import sentencepiece
import tensorflow as tf

from components.vocabulary_trainer import executor
from models import settings
from models.inputs.tokenizer import EOS_ID, PAD_ID, Tokenizer


@pytest.fixture(scope="module")
def tokenizer(vocabulary) -> Tokenizer:
    return Tokenizer(vocabulary, settings.TextTowerSettings(length=12))


def test_ids_are_sentencepieces_then_one_end_of_sentence_then_padding(tokenizer, vocabulary):
    reference = sentencepiece.SentencePieceProcessor(model_file=vocabulary)
    texts = ["a small red ring at the top", "Red DISC", "", "日本"]
    for text, ids in zip(texts, tokenizer(tf.constant(texts)).numpy().tolist(), strict=True):
        pieces = reference.encode(text.lower())[:11]
        assert ids == pieces + [EOS_ID] + [PAD_ID] * (11 - len(pieces))


def test_a_long_text_keeps_its_end_of_sentence(tokenizer):
    (ids,) = tokenizer(tf.constant(["a red ring " * 20])).numpy()
    assert ids.shape == (12,)
    assert ids[-1] == EOS_ID
    assert EOS_ID not in ids[:-1]


def test_case_is_ignored(tokenizer):
    lower, upper = tokenizer(
        tf.constant(["ein roter ring, größe ä", "EIN ROTER Ring, GRÖSSE Ä".replace("SS", "ß")])
    ).numpy()
    np.testing.assert_array_equal(lower, upper)


def test_a_vocabulary_with_another_pad_id_is_refused(tmp_path):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d"] * 9),
        model_prefix=str(tmp_path / "other"),
        vocab_size=12,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    with pytest.raises(ValueError, match=r"TextTower.pad_id is 1, but in .*other.model .* is 2; set it"):
        Tokenizer(str(tmp_path / "other.model"), settings.TextTowerSettings())


def test_a_file_that_is_no_vocabulary_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("not a model")
    with pytest.raises(ValueError, match=r"notes.txt is no SentencePiece model"):
        Tokenizer(str(tmp_path / "notes.txt"), settings.TextTowerSettings())


def test_an_eos_id_that_differs_from_the_vocabularys_is_refused(vocabulary):
    with pytest.raises(ValueError, match=r"TextTower.eos_id is 2, but .* ends sentences with 0; set it to 0"):
        Tokenizer(vocabulary, settings.TextTowerSettings(pooling="eos", eos_id=2))


def test_served_texts_lose_punctuation_if_set_and_captions_keep_it(vocabulary):
    tokenizer = Tokenizer(vocabulary, settings.TextTowerSettings(length=12, punctuation="remove"))
    plain, dotted = tokenizer.served(tf.constant(["a red ring", "  A red,   ring. "])).numpy()
    np.testing.assert_array_equal(plain, dotted)
    plain, dotted = tokenizer(tf.constant(["a red ring", "a red, ring."])).numpy()
    assert (plain != dotted).any()


def test_the_same_captions_give_the_same_vocabulary():
    captions = ["a red ring", "a blue disc", "two green squares"] * 20
    assert executor.train(captions, 300) == executor.train(captions, 300)


def test_a_vocabulary_size_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match=r"change Vocabulary\.size"):
        executor.train(["a red ring"], 40)


def test_the_draw_of_captions_is_seeded_and_bounded():
    captions = [str(i) for i in range(1000)]
    first = executor.draw(iter(captions), 50, seed=1)
    assert len(set(first)) == 50
    assert executor.draw(iter(captions), 50, seed=1) == first != executor.draw(iter(captions), 50, seed=2)
    assert executor.draw(iter(captions), 2000, seed=1) == captions
