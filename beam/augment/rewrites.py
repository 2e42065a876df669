"""Rewrites of a caption, word by word, as in the recipe of CLIP-rocket (arXiv 2305.08675, appendix)."""

import random
from collections.abc import Callable, Sequence

_FUNCTION_WORDS = """
a an the this that these those some any each i you he she it we they his her its our their my your is are was
were be been being am has have had do does did will would shall should can could may might must of to for and
or as so such there here very just also than then
"""
# English words that say little about a picture. Words of place (in, on, under) and negations are not among them.
STOP_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words that `remove_stop_words` removes."""

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
      LookupError: nltk or its WordNet is not installed; the message says how to get them.
    """
    for place in draw.sample(range(len(words)), len(words)):
        known = synonyms(words[place])
        if known:
            return [*words[:place], draw.choice(known), *words[place + 1 :]]
    return list(words)


def synonyms(word: str) -> list[str]:
    """The single words that share a meaning with `word` in WordNet, sorted."""
    try:
        from nltk.corpus import wordnet

        meanings = wordnet.synsets(word)
    except (ImportError, LookupError) as error:
        raise LookupError(
            "the rewrite synonym needs WordNet: pip install nltk && python -m nltk.downloader wordnet; or leave "
            "synonym out of Augmenter.rewrites"
        ) from error
    names = {lemma.name() for meaning in meanings for lemma in meaning.lemmas()}
    return sorted(name for name in names if "_" not in name and name.casefold() != word.casefold())


REWRITES: dict[str, Rewrite] = {"synonym": synonym, "swap": swap, "delete": delete}
"""{name: rewrite}; at most one is drawn for a caption."""
