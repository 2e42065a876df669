"""Changes the words of a caption in the graph, as beam/augment/rewrites.py does before training (arXiv 2305.08675)."""

from collections.abc import Callable

import tensorflow as tf

from models import settings, stop_words
from models.inputs import synonyms
from models.inputs.tokenizer import BLANKS

Rewrite = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""(words, string [n]; three draws in [0, 1)) -> string [n] or [n - 1]."""


class TextAugmentation:
    """A function of one caption, string [], and a seed, int64 [2]; the same seed gives the same caption, string [].

    With a probability, stop words go, unless nothing would be left; then one rewrite changes one word. A caption of one
    word has nothing to swap, and is never deleted. Words are what blanks separate.
    """

    def __init__(self, config: settings.TextAugmentationSettings) -> None:
        """Reads the file of synonyms, if there is one.

        Raises:
          ValueError: a line of the file is no word with synonyms.
        """
        self._config = config
        known: dict[str, Rewrite] = {"swap": swap, "delete": delete}
        if "synonym" in config.rewrites:
            known["synonym"] = Synonyms(config.synonyms)
        self._rewrites = [known[name] for name in config.rewrites]
        weights = list(config.rewrites.values())
        self._ends = [sum(weights[: end + 1]) / sum(weights) for end in range(len(weights) - 1)]

    def __call__(self, caption: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        draws = tf.random.stateless_uniform([5], seed, alg="philox")
        words = tf.strings.split(tf.strings.regex_replace(caption, BLANKS, " "))
        words = tf.cond(draws[0] < self._config.stop_words, lambda: without_stop_words(words), lambda: words)
        if self._rewrites:
            which = tf.reduce_sum(tf.cast(draws[1] >= tf.constant(self._ends, tf.float32), tf.int32))
            branches = [_bound(rewrite, words, draws[2:]) for rewrite in self._rewrites]
            words = tf.switch_case(which, branches)
        return tf.strings.reduce_join(words, separator=" ")


def without_stop_words(words: tf.Tensor) -> tf.Tensor:
    """All words that are no stop words; all words if nothing would be left."""
    lower = tf.strings.lower(words, encoding="utf-8")
    is_stop = tf.reduce_any(lower[:, None] == tf.constant(sorted(stop_words.STOP_WORDS)), axis=1)
    return tf.cond(tf.reduce_all(is_stop), lambda: words, lambda: tf.boolean_mask(words, ~is_stop))


def swap(words: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Swaps two words; a caption of one word stays as it is."""
    count = tf.size(words)
    first = _place(draws[0], count)
    second = (first + 1 + _place(draws[1], count - 1)) % tf.maximum(count, 1)
    places = tf.range(count)
    swapped = tf.where(places == first, second, tf.where(places == second, first, places))
    return tf.gather(words, swapped)


def delete(words: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Removes one word; a caption of one word stays as it is."""
    count = tf.size(words)
    return tf.boolean_mask(words, (tf.range(count) != _place(draws[0], count)) | (count < 2))


class Synonyms:
    """Replaces one word that the file knows by one of its synonyms; if there is no such word, all words stay."""

    def __init__(self, path: str) -> None:
        entries = synonyms.read(path)
        self._replacements = tf.RaggedTensor.from_row_lengths(
            [synonym for found in entries.values() for synonym in found], [len(found) for found in entries.values()]
        )
        keys = tf.constant(list(entries))
        self._rows = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(keys, tf.range(len(entries))), default_value=-1
        )

    def __call__(self, words: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        rows = self._rows.lookup(tf.strings.lower(words, encoding="utf-8"))
        known = tf.where(rows >= 0)[:, 0]

        def replaced() -> tf.Tensor:
            place = known[_place(draws[0], tf.size(known))]
            found = self._replacements[rows[place]]
            return tf.tensor_scatter_nd_update(words, [[place]], [found[_place(draws[1], tf.size(found))]])

        return tf.cond(tf.size(known) > 0, replaced, lambda: words)


def _place(draw: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """A whole number in [0, count), or 0 if there is none."""
    return tf.clip_by_value(tf.cast(draw * tf.cast(count, tf.float32), tf.int32), 0, tf.maximum(count - 1, 0))


def _bound(rewrite: Rewrite, words: tf.Tensor, draws: tf.Tensor) -> Callable[[], tf.Tensor]:
    return lambda: rewrite(words, draws)
