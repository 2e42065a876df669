"""The labels that a command asks about, from a flag or from a file, and what a model answers about them."""

from collections.abc import Mapping, Sequence

import numpy as np


def read(labels: str | None, file: str | None) -> list[str]:
    """Returns the labels of --labels, which commas separate, or of the file --labels_file, which has one in each line.

    Raises:
      ValueError: both or neither are given, the file cannot be read, or a label is empty or occurs twice.
    """
    if (labels is None) == (file is None):
        raise ValueError(
            "give either --labels, texts separated by commas, or --labels_file, a file with one label in each line"
        )
    if file is not None:
        return _of_file(file)
    found = [label.strip() for label in (labels or "").split(",")]
    require(found)
    return found


def require(labels: list[str]) -> None:
    """Raises ValueError if a label is empty or occurs twice."""
    if len({*labels}) < len(labels):
        raise ValueError(f"--labels has a label twice: {labels}; name each once")
    if not all(labels):
        raise ValueError(
            f"--labels has an empty label: {labels}; put one comma between two texts, or name --labels_file for labels "
            "with commas"
        )


def _of_file(path: str) -> list[str]:
    """One label in each line: UTF-8, with or without a byte order mark. Blank lines do not count."""
    first: dict[str, int] = {}
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise ValueError(f"--labels_file={path} cannot be read ({error.strerror}); name another") from error
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            label = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise ValueError(f"--labels_file={path}: line {number} is not UTF-8; save the file as UTF-8") from error
        if label in first:
            raise ValueError(
                f"--labels_file={path}: line {number} has the label {label[:200]!r} of line {first[label]}; "
                "remove one of them"
            )
        if label:
            first[label] = number
    if not first:
        raise ValueError(f"--labels_file={path} has no label; write one in each line")
    return list(first)


def by_logit(labels: Sequence[str], answer: Mapping[str, np.ndarray]) -> list[dict[str, float]]:
    """{label: probability} of each picture, the labels with the highest logit first; several may round to 1.

    Args:
      labels: K labels.
      answer: of the signature serving_default, `probability` and `logit`, each [N, K].
    """
    orders = np.argsort(-answer["logit"], axis=1, kind="stable")
    return [
        {labels[place]: float(row[place]) for place in order}
        for row, order in zip(answer["probability"], orders, strict=True)
    ]
