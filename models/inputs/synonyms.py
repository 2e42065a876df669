"""Reads a file of synonyms: lines "word<TAB>synonym,synonym", in UTF-8 and lower case."""

import tensorflow as tf


def read(path: str) -> dict[str, tuple[str, ...]]:
    """{word: its synonyms}.

    Raises:
      ValueError: a line has no tab, no word, no synonym or a blank in one of them, or a word occurs twice; the message
        names the line.
    """
    with tf.io.gfile.GFile(path, "rb") as file:
        lines = file.read().decode("utf-8").splitlines()
    entries: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, start=1):
        word, tab, rest = line.partition("\t")
        found = tuple(rest.split(","))
        whole = all(len(one.split()) == 1 for one in (word, *found))
        if not (tab and whole) or word in entries:
            problem = "the word occurs twice" if whole and word in entries else "it must be word<TAB>synonym,synonym"
            raise ValueError(f"{path}, line {number}: {line!r}: {problem}; correct the file of synonyms")
        entries[word] = found
    if not entries:
        raise ValueError(f"{path} has no synonyms; make it with `python -m pipeline.synonyms`")
    return entries
