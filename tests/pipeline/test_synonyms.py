"""The file of synonyms has the words of WordNet or of the captions, and the augmentation of texts reads it."""

import pytest

from beam.augment import rewrites
from models.inputs import synonyms as file_of_synonyms
from pipeline import synonyms
from tests.models.training.shapes import EXAMPLES, write_shards

KNOWN = {"small": ["little", "Minor"], "red": ["crimson", "a,b", "two words"], "tiny": ["small"], "at": []}


@pytest.fixture
def wordnet(monkeypatch):
    monkeypatch.setattr(rewrites, "synonyms", lambda word: KNOWN.get(word, []))
    monkeypatch.setattr(rewrites, "all_words", lambda: sorted(KNOWN))


def test_all_words_of_wordnet_have_a_line(wordnet, tmp_path):
    path = str(tmp_path / "synonyms.tsv")
    assert synonyms.write(path, None) == 3
    assert file_of_synonyms.read(path) == {"red": ("crimson",), "small": ("little", "minor"), "tiny": ("small",)}


def test_only_the_words_of_the_train_split_have_a_line(wordnet, tmp_path):
    write_shards(tmp_path / "examples" / "Split-train", 1, EXAMPLES)
    path = str(tmp_path / "synonyms.tsv")
    for folder in ("examples", "examples/Split-train"):
        assert synonyms.write(path, str(tmp_path / folder)) == 2
    assert set(file_of_synonyms.read(path)) == {"red", "small"}


def test_what_is_missing_is_named_and_no_file_is_written(monkeypatch, tmp_path):
    path = tmp_path / "synonyms.tsv"
    monkeypatch.setitem(__import__("sys").modules, "nltk", None)
    with pytest.raises(LookupError, match=r"python -m nltk.downloader wordnet"):
        synonyms.write(str(path), None)
    with pytest.raises(FileNotFoundError, match="no shard matches"):
        synonyms.write(str(path), str(tmp_path / "absent"))
    write_shards(tmp_path / "examples" / "Split-train", 1, EXAMPLES[:2])
    monkeypatch.setattr(rewrites, "synonyms", lambda word: [])
    with pytest.raises(ValueError, match=r"no word of .*examples has a synonym"):
        synonyms.write(str(path), str(tmp_path / "examples"))
    assert not path.exists()
