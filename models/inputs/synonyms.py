"""Reads a file of synonyms: lines "word<TAB>synonym,synonym", in UTF-8 and lower case."""

import tensorflow as tf


def read(path: str) -> dict[str, tuple[str, ...]]:
    """{word: its synonyms}.

    Raises:
      ValueError: a line is not UTF-8, has no tab, no word, no synonym or a blank in one of them, or a word is not in
        lower case or occurs twice; the message names the line.
    """
    with tf.io.gfile.GFile(path, "rb") as file:
        content = file.read()
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {line}: it is not UTF-8; save the file of synonyms as UTF-8") from error
    entries: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, start=1):
        word, tab, rest = line.partition("\t")
        found = tuple(rest.split(","))
        whole = all(len(one.split()) == 1 for one in (word, *found))
        problem = ""
        if not (tab and whole):
            problem = "it must be word<TAB>synonym,synonym"
        elif word in entries:
            problem = "the word occurs twice"
        elif word != word.lower():
            problem = f"the word must be in lower case ({word.lower()!r}), as captions are when they are looked up"
        if problem:
            raise ValueError(f"{path}, line {number}: {line!r}: {problem}; correct the file of synonyms")
        entries[word] = found
    if not entries:
        raise ValueError(f"{path} has no synonyms; make it with `python -m pipeline.synonyms`")
    return entries
