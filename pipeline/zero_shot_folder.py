"""Zero-shot answers about all pictures below a folder, as JSON Lines."""

import contextlib
import functools
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

import tqdm

from components.serving_clients import Client, NoAnswer, Refused
from models import files
from pipeline import labels as asked_labels
from pipeline import picture_files
from pipeline.console import command_line, terminal

NO_PICTURE = f"not a picture in {picture_files.FORMATS}"
_WAITS = (1.0, 5.0, 20.0)  # seconds before each retry, for a server that has answered before


class Unusable(ValueError):
    """The data plane rejects some pictures.

    Attributes:
      reasons: {row of the picture, counted from 0: why it is rejected}.
    """

    def __init__(self, reasons: dict[int, str]) -> None:
        super().__init__(f"{len(reasons)} pictures cannot be used")
        self.reasons = reasons


def ask(client: Client, folder: str, labels: list[str], output: str, batch_size: int) -> str:
    """Writes one line for each picture, in the order of their paths, to `output`, which appears whole or not at all.

    A line is {"image": path below the folder, "probability": {label: probability}}, or {"image": ..., "error": reason}
    for a file that cannot be read or decoded. A server that stops answering is asked again for half a minute. A run
    that is stopped leaves `output` as it was; the next run starts from the first picture.

    Args:
      client: asks the model.
      folder: is searched with all folders below it, for the files of `picture_files.find`.
      labels: the texts to classify by.
      output: path of the file.
      batch_size: pictures in a request.

    Returns:
      A line that says how many pictures were answered, and how many files were left out and why.

    Raises:
      ValueError: the folder holds no such file, or the output cannot be written.
      serving_clients.NoAnswer: the server did not answer.
    """
    found = picture_files.find(folder)
    images = found.pictures
    if not images:
        what = "is no folder"
        if os.path.isdir(folder):
            what = f"holds no file that ends with {', '.join(picture_files.SUFFIXES)}; {found.left_out_text()}"
        raise ValueError(f"--folder={folder} {what}; name another")
    if os.path.isdir(output):
        raise ValueError(f"--output={output} is a folder; name a file in it")
    broken = 0
    with _opened(output) as file, tqdm.tqdm(total=len(images), unit=" pictures", smoothing=0.1) as bar:
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            for answer in _answer(client, folder, batch, labels, _WAITS if start else ()):
                broken += "error" in answer
                file.write(json.dumps(answer) + "\n")
            bar.update(len(batch))
            bar.set_postfix(broken=broken)
    return (
        f"{output}: {len(images) - broken:,} pictures answered, {broken:,} broken, {found.left_out_text()}; "
        f"errors: grep '\"error\"' {output}"
    )


@contextlib.contextmanager
def _opened(output: str) -> Iterator[TextIO]:
    """Yields a file that becomes `output` if nothing is raised."""
    command_line.require_local(output, "output")
    parent = os.path.dirname(os.path.abspath(output))
    if not os.path.isdir(parent):  # probably misspelt
        raise ValueError(f"--output={output} cannot be written, because {parent} is no folder; name another")
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(stack.enter_context(files.WholeFile(output)), "w"))
        except OSError as error:
            raise ValueError(f"--output={output} cannot be written ({error.strerror}); name another") from error
        yield file


def probabilities(client: Client, pictures: Sequence[bytes], labels: Sequence[str]) -> list[dict[str, float]]:
    """Returns {label: probability} for each picture, which is prepared as in training: upright, and RGB on white.

    The labels are in the order of their logits, the highest first; several probabilities may round to 1.

    Raises:
      Unusable: the data plane rejects some of the pictures, so the model is not asked.
      serving_clients.Refused: the model refuses some of the pictures.
      serving_clients.NoAnswer: the server did not answer.
    """
    texts = [label.encode(errors="surrogateescape") for label in labels]
    prepared = [_as_trained(one) for one in pictures]
    if reasons := {row: one for row, one in enumerate(prepared) if isinstance(one, str)}:
        raise Unusable(reasons)
    inputs = {"image_bytes": [one for one in prepared if isinstance(one, bytes)], "labels": texts}
    return asked_labels.by_logit(labels, client.predict("serving_default", inputs))


def _as_trained(image: bytes) -> bytes | str:
    """Returns the picture as the data plane stores it, or the reason for which that rejects it."""
    return _storing()(image)


@functools.cache
def _storing() -> Callable[[bytes], bytes | str]:
    """Loads the data plane's check of pictures, once; standard error is redirected for this alone, not per picture."""
    with terminal.native_log_hidden():
        from beam.filters.pictures import DecodeCheck, PictureSettings  # here, because it takes seconds to load
        from beam.records import ImageText, Rejected

    check = DecodeCheck(PictureSettings(min_side=1))

    def stored(image: bytes) -> bytes | str:
        outcome = check(ImageText(key="", image=image, caption="", position="", source=""))
        if not isinstance(outcome, Rejected):
            return outcome.image
        return NO_PICTURE if outcome.reason in ("image_empty", "image_undecodable") else outcome.detail

    return stored


def _answer(
    client: Client, folder: str, images: Sequence[str], labels: Sequence[str], waits: Sequence[float]
) -> list[dict[str, object]]:
    answers: dict[str, dict[str, object]] = {}
    contents = {}
    for image in images:
        try:
            with open(os.path.join(folder, image), "rb") as file:
                contents[image] = file.read()
        except OSError as error:
            answers[image] = {"error": f"cannot be read: {error.strerror}"}
    while contents:
        left = list(contents)
        try:
            found = probabilities(client, list(contents.values()), labels)
        except Unusable as unusable:
            for row, reason in unusable.reasons.items():  # the next request asks about the others
                answers[left[row]] = {"error": reason}
                del contents[left[row]]
            continue
        except Refused as refused:
            if not refused.rows:
                raise
            for row in refused.rows:  # the next request asks about the others
                answers[left[row]] = {"error": NO_PICTURE}
                del contents[left[row]]
            continue
        except NoAnswer:
            if not waits:
                raise
            time.sleep(waits[0])
            waits = waits[1:]
            continue
        answers |= {image: {"probability": shares} for image, shares in zip(left, found, strict=True)}
        break
    return [{"image": os.fsencode(image).decode(errors="replace"), **answers[image]} for image in images]
