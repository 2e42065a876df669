"""The rules for punctuation equal the public code that they are named after, for generated texts."""

import random
import re
import string

import numpy as np
import pytest
import tensorflow as tf

from models import settings
from models.inputs.tokenizer import Tokenizer, without_punctuation
from models.settings import configuration

TEXTS = 3000
PARTS = [
    *string.punctuation, *"aBz09", " ", "  ", "\t", "\n", "\v", "\f", "\r", "\x1c", "\x85", "\u00a0", "\u2009",
    "\u2028", "\u3000", "é", "Σ", "日本", "🦊", "\u200b", "\u2019", "—", "golden_retriever", "t-shirt", "don't",
]  # fmt: skip


def as_hugging_face(text: str) -> str:
    """What SiglipTokenizer.canonicalize_text does, but for the case."""
    text = text.translate(str.maketrans("", "", string.punctuation))
    return re.sub(r"\s+", " ", text).strip()


def as_big_vision(text: str) -> str:
    """What canonicalize_text of big_vision's prompt_engineering.py does, but for the case."""
    return as_hugging_face(text.replace("_", " "))


@pytest.mark.parametrize(
    ("rule", "expected"), [("keep", lambda text: text), ("remove", as_hugging_face), ("canonicalize", as_big_vision)]
)
def test_generated_texts_equal_the_public_code(rule, expected, record_property):
    draw = random.Random(0)
    texts = ["".join(draw.choices(PARTS, k=draw.randint(0, 12))) for _ in range(TEXTS)]
    found = [text.decode() for text in without_punctuation(tf.constant(texts), rule).numpy()]
    assert found == [expected(text) for text in texts]
    print(f"{rule}: {len(texts)} texts")
    record_property("texts", len(texts))


def test_underscore_is_a_blank_in_big_vision_and_nothing_at_hugging_face():
    texts = tf.constant(["golden_retriever", "t-shirt", "  a, b!  "])
    assert without_punctuation(texts, "remove").numpy().tolist() == [b"goldenretriever", b"tshirt", b"a b"]
    assert without_punctuation(texts, "canonicalize").numpy().tolist() == [b"golden retriever", b"tshirt", b"a b"]


def test_broken_utf8_is_no_error():
    assert without_punctuation(tf.constant([b"a\xff_\xc3b"]), "canonicalize").shape == [1]


def test_served_labels_follow_the_rule_and_captions_do_not(vocabulary):
    ids = {}
    for rule in ("keep", "remove", "canonicalize"):
        tokenizer = Tokenizer(vocabulary, settings.TextTowerSettings(length=24, punctuation=rule))
        texts = tf.constant(["red_ring", "red ring", "redring"])
        ids[rule], captions = tokenizer.served(texts).numpy(), tokenizer(texts).numpy()
        assert (captions[0] != captions[1]).any()
    np.testing.assert_array_equal(ids["canonicalize"][0], ids["canonicalize"][1])
    np.testing.assert_array_equal(ids["remove"][0], ids["remove"][2])
    assert (ids["keep"][0] != ids["keep"][1]).any()


def test_unknown_rule_is_refused():
    with pytest.raises(ValueError, match=r"TextTower\.punctuation is 'strip', but must be one of keep, remove, canon"):
        settings.TextTowerSettings(punctuation="strip")


@pytest.mark.parametrize(
    ("former", "rule"),
    [
        ("TextTower.strip_punctuation = True", "remove"),
        ("TextTower.strip_punctuation = False", "keep"),
        ("TextTower.strip_punctuation=True  # as Hugging Face", "remove"),
        ("ImageTower.size = 32\nTextTower.strip_punctuation   =   True\nTextTower.length = 7", "remove"),
    ],
)
def test_former_setting_is_accepted_for_one_release(former, rule, capsys):
    made = configuration.parse(former, settings.SiglipSettings)
    assert made.text_tower.punctuation == rule
    assert f"is now TextTower.punctuation = '{rule}'; the next release will not accept" in capsys.readouterr().err


def test_other_values_of_the_former_setting_are_an_error():
    with pytest.raises(configuration.ConfigurationError, match="strip_punctuation"):
        configuration.parse("TextTower.strip_punctuation = 'yes'", settings.SiglipSettings)
