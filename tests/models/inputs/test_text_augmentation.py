"""Captions change as those of the Augmenter do: stop words go, one word is rewritten, and no text becomes empty."""

import collections
import random

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from beam.augment import rewrites
from models import settings, stop_words
from models.inputs import synonyms
from models.inputs.text_augmentation import TextAugmentation

CAPTION = "The red dog runs to a Ball"
DRAWS = 10_000
FILE = "dog\thound,puppy,pooch\nball\tsphere\n"
ALL = {"synonym": 0.4, "swap": 0.4, "delete": 0.2}


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("synonyms") / "synonyms.tsv"
    path.write_text(FILE)
    return str(path)


def visits(config: settings.TextAugmentationSettings, caption: str, count: int) -> list[str]:
    """The caption at so many visits."""
    augment = TextAugmentation(config)
    seeds = tf.stack([tf.fill([count], tf.constant(3, tf.int64)), tf.range(count, dtype=tf.int64)], axis=1)
    rows = tf.data.Dataset.from_tensor_slices(seeds).map(lambda seed: augment(tf.constant(caption), seed))
    return [text.decode() for texts in rows.batch(1000).as_numpy_iterator() for text in texts]


def of_augmenter(name: str, words: list[str], count: int = 3000) -> collections.Counter:
    draw = random.Random(0)
    return collections.Counter(" ".join(rewrites.REWRITES[name](words, draw)) for _ in range(count))


def likely(count: int, total: int, probability: float) -> bool:
    return scipy.stats.binomtest(count, total, probability).pvalue > 1e-4


def test_stop_words_go_with_their_probability():
    seen = collections.Counter(visits(settings.TextAugmentationSettings(stop_words=0.8), CAPTION, DRAWS))
    assert set(seen) == {CAPTION, "red dog runs Ball"}
    assert likely(seen["red dog runs Ball"], DRAWS, 0.8)
    assert not likely(seen["red dog runs Ball"], DRAWS, 0.77)  # control
    words = rewrites.remove_stop_words(CAPTION.split(), random.Random(0))
    assert " ".join(words) == "red dog runs Ball"


@pytest.mark.parametrize("name", ["swap", "delete"])
def test_each_rewrite_gives_what_the_augmenter_gives_equally_often(name):
    seen = collections.Counter(visits(settings.TextAugmentationSettings(rewrites={name: 1.0}), CAPTION, 2000))
    expected = of_augmenter(name, CAPTION.split())
    assert set(seen) == set(expected)
    assert scipy.stats.chisquare(list(seen.values())).pvalue > 1e-4
    assert CAPTION not in seen


def test_one_word_that_the_file_knows_becomes_a_synonym(file, monkeypatch):
    config = settings.TextAugmentationSettings(rewrites={"synonym": 1.0}, synonyms=file)
    seen = collections.Counter(visits(config, CAPTION, 2000))
    monkeypatch.setattr(rewrites, "synonyms", lambda word: list(synonyms.read(file).get(word.casefold(), ())))
    assert set(seen) == set(of_augmenter("synonym", CAPTION.split()))
    assert likely(seen["The red dog runs to a sphere"], 2000, 1 / 2)
    assert likely(seen["The red pooch runs to a Ball"], 2000, 1 / 6)
    assert set(visits(config, "a blue cat", 50)) == {"a blue cat"}


def test_exactly_one_rewrite_is_drawn_by_its_weight(file):
    config = settings.TextAugmentationSettings(rewrites=ALL, synonyms=file)
    kinds = collections.Counter()
    for text in visits(config, CAPTION, DRAWS):
        words = text.split()
        kept = collections.Counter(CAPTION.split()) & collections.Counter(words)
        if len(words) == 6:
            kinds["delete"] += 1
        elif kept.total() == 7:
            assert sum(a != b for a, b in zip(words, CAPTION.split(), strict=True)) == 2
            kinds["swap"] += 1
        else:
            assert sum(a != b for a, b in zip(words, CAPTION.split(), strict=True)) == 1
            kinds["synonym"] += 1
    assert set(kinds) == set(ALL)
    assert all(likely(kinds[name], DRAWS, weight) for name, weight in ALL.items())


@pytest.mark.parametrize("caption", ["dog", "the", "", "the of a", " red  dog ", "the\u00a0red\u3000dog", "ПЁС бежит"])
def test_a_text_is_never_empty_and_blanks_are_those_of_python(caption, file):
    config = settings.TextAugmentationSettings(1.0, {"delete": 1.0})
    words = rewrites.remove_stop_words(caption.split(), random.Random(0))
    assert set(visits(config, caption, 40)) == set(of_augmenter("delete", words, 200))
    assert all(bool(text) == bool(caption) for text in visits(config, caption, 5))


def test_one_seed_gives_one_text_and_other_seeds_others(file):
    config = settings.TextAugmentationSettings(0.5, ALL, file)
    first, again = (visits(config, CAPTION, 100) for _ in range(2))
    assert first == again
    assert len(set(first)) > 10


def test_both_halves_of_the_system_have_one_list_of_stop_words():
    assert rewrites.STOP_WORDS is stop_words.STOP_WORDS
    assert all(word == word.casefold() and word.isascii() for word in stop_words.STOP_WORDS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("dog\thound\ncat feline\n", "line 2: 'cat feline': it must be word<TAB>synonym,synonym; correct"),
        ("dog\t\n", "line 1: 'dog\\\\t': it must be word"),
        ("dog\thound,,pup\n", "line 1: .*it must be word"),
        ("red dog\thound\n", "line 1: .*it must be word"),
        ("dog\thound\ndog\tpuppy\n", "line 2: .*the word occurs twice; correct"),
        ("dog\thound\nCat\tfeline\n", r"line 2: .*the word must be in lower case \('cat'\)"),
        (b"dog\thound\ncat\tf\xe9lin\n", "line 2: it is not UTF-8; save the file of synonyms as UTF-8"),
        ("", "has no synonyms; make it with `python -m pipeline.synonyms`"),
    ],
)
def test_a_bad_line_of_the_file_is_refused_with_its_number(content, message, tmp_path):
    path = tmp_path / "synonyms.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        synonyms.read(str(path))


def test_a_file_from_windows_is_read_as_any_other(tmp_path):
    path = tmp_path / "synonyms.tsv"
    path.write_bytes(b"\xef\xbb\xbfdog\thound,puppy\r\nball\tsphere\r\n")
    assert synonyms.read(str(path)) == {"dog": ("hound", "puppy"), "ball": ("sphere",)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stop_words": 1.2}, r"TextAugmentation.stop_words is 1.2, but must be in \[0, 1\]"),
        ({"rewrites": {"shuffle": 1.0}}, "TextAugmentation.rewrites is .*names among synonym, swap, delete; correct"),
        ({"rewrites": {"swap": 0.0}}, "TextAugmentation.rewrites is .*weight above 0"),
        (
            {"rewrites": ALL},
            "TextAugmentation.synonyms is '', but must be a file, .*; make one with `python -m",
        ),
    ],
)
def test_bad_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        settings.TextAugmentationSettings(**changes)


def test_no_change_is_possible_without_a_setting():
    assert not settings.TextAugmentationSettings().changes_words
    assert settings.TextAugmentationSettings(rewrites={"swap": 1.0}).changes_words
    assert np.all([text == CAPTION for text in visits(settings.TextAugmentationSettings(), CAPTION, 10)])
