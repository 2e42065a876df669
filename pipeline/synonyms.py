"""Makes a file of synonyms of WordNet: `python -m pipeline.synonyms --output=synonyms.tsv --examples=FOLDER`.

The rewrite "synonym" of TextAugmentation reads the file, so that training needs no WordNet.
"""

import os

from absl import flags

from pipeline.console import command_line, terminal
from pipeline.console.output_flag import OUTPUT

_EXAMPLES = flags.DEFINE_string(
    "examples", None, "Folder of an Examples artifact, whose train split has the words. Default: all words of WordNet."
)


@command_line.errors_as_lines(FileNotFoundError, LookupError)
def main(argv: list[str]) -> None:
    """Writes the file, and prints how many words it has."""
    command_line.refuse_arguments(argv)
    terminal.quiet_terminal()
    command_line.require_local(OUTPUT.value, "output")
    command_line.require_writable(os.path.dirname(os.path.abspath(OUTPUT.value)), "output")
    print(f"{write(OUTPUT.value, _EXAMPLES.value):,} words have synonyms: {OUTPUT.value}")


def write(output: str, examples: str | None) -> int:
    """Writes the file; returns the number of its words.

    Raises:
      ValueError: no word has a synonym.
      FileNotFoundError: `examples` has no train split.
      LookupError: WordNet is not installed; the message says how to get it.
    """
    from beam.augment import rewrites  # loads TensorFlow
    from models import files

    lines = []
    for word in _words_of(examples) if examples else rewrites.all_words():
        found = {one.lower() for one in rewrites.synonyms(word)}
        fit = sorted(one for one in found if "," not in one and len(one.split()) == 1 and one != word)
        if fit:
            lines.append(f"{word}\t{','.join(fit)}\n")
    if not lines:
        raise ValueError(f"no word of {examples} has a synonym in WordNet; name other examples")
    files.write_text(output, "".join(lines))
    return len(lines)


def _words_of(examples: str) -> list[str]:
    """The words of all captions of the train split, in lower case, sorted."""
    from beam import reader

    folder = examples.rstrip("/")
    train = folder if os.path.basename(folder).startswith("Split-") else f"{folder}/Split-train"
    rows = (row for path in reader.shards(train) for row in reader.read_shard(path))
    return sorted({word.lower() for row in rows for text in (row.caption, *row.more_captions) for word in text.split()})


console = command_line.script(main, "output")

if __name__ == "__main__":
    console()
