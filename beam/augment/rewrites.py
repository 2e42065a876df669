"""Rewrites of a caption, word by word, as in the recipe of CLIP-rocket (arXiv 2305.08675, appendix)."""

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from models.stop_words import STOP_WORDS

Rewrite = Callable[[Sequence[str], random.Random], list[str]]


def remove_stop_words(words: Sequence[str], _: random.Random) -> list[str]:
    """Removes STOP_WORDS; returns all words if nothing would be left."""
    return [word for word in words if word.casefold() not in STOP_WORDS] or list(words)


def swap(words: Sequence[str], draw: random.Random) -> list[str]:
    """Swaps two words; a caption of one word stays as it is."""
    swapped = list(words)
    if len(swapped) > 1:
        i, j = draw.sample(range(len(swapped)), 2)
        swapped[i], swapped[j] = swapped[j], swapped[i]
    return swapped


def delete(words: Sequence[str], draw: random.Random) -> list[str]:
    """Removes one word; a caption of one word stays as it is."""
    if len(words) < 2:
        return list(words)
    gone = draw.randrange(len(words))
    return [*words[:gone], *words[gone + 1 :]]


def synonym(words: Sequence[str], draw: random.Random) -> list[str]:
    """Replaces one word that WordNet knows by a synonym of one word; if there is no such word, all words stay.

    Raises:
      LookupError: nltk or its WordNet is not installed or not whole; the message says how to get them.
    """
    for place in draw.sample(range(len(words)), len(words)):
        known = synonyms(words[place])
        if known:
            return [*words[:place], draw.choice(known), *words[place + 1 :]]
    return list(words)


def synonyms(word: str) -> list[str]:
    """The single words that share a meaning with `word` in WordNet, sorted."""
    with _wordnet() as wordnet:
        meanings = wordnet.synsets(word)
    names = {lemma.name() for meaning in meanings for lemma in meaning.lemmas()}
    return sorted(name for name in names if "_" not in name and name.casefold() != word.casefold())


def all_words() -> list[str]:
    """The single words of WordNet, in lower case, sorted."""
    with _wordnet() as wordnet:
        return sorted({name.lower() for name in wordnet.all_lemma_names() if "_" not in name})


@contextlib.contextmanager
def _wordnet() -> Iterator[Any]:
    try:
        from nltk.corpus import wordnet

        yield wordnet
    except (ImportError, LookupError, OSError) as error:
        reason = next((line.strip(" .") for line in str(error).splitlines() if any(map(str.isalpha, line))), "")
        raise LookupError(
            f"synonyms need nltk and WordNet, which cannot be read here ({reason}): pip install nltk && python -m "
            "nltk.downloader wordnet; or leave 'synonym' out of Augmenter.rewrites and TextAugmentation.rewrites"
        ) from error


REWRITES: dict[str, Rewrite] = {"synonym": synonym, "swap": swap, "delete": delete}
"""{name: rewrite}; at most one is drawn for a caption."""
