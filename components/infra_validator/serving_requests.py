"""Real requests, and what an answer must look like."""

import itertools
import statistics
import time
from collections.abc import Mapping, Sequence

import numpy as np

from components.serving_clients import GrpcClient, Refused

UNIT_NORM_TOLERANCE = 1e-3
NO_PICTURE = b"not a picture"
Inputs = Mapping[str, Sequence[bytes]]


class NotServable(ValueError):
    """Why a model must not be served, for the run's page."""


def requests_of(pictures: Sequence[bytes], captions: Sequence[bytes]) -> dict[str, Inputs]:
    """{signature: inputs} of one request to each serving signature."""
    return {
        "embed_image": {"image_bytes": pictures},
        "embed_text": {"text": captions},
        "serving_default": {"image_bytes": pictures, "labels": captions},
    }


def check_answers(client: GrpcClient, pictures: Sequence[bytes], captions: Sequence[bytes]) -> None:
    """Sends one request to each serving signature, and one broken one.

    Raises:
      NotServable: a shape, norm or value is not what the contract says, or a broken picture is not refused by row.
      serving_clients.Refused: a good one was refused.
      serving_clients.NoAnswer: the server failed.
    """
    answers = {
        signature: client.predict(signature, inputs) for signature, inputs in requests_of(pictures, captions).items()
    }
    for signature, outputs in answers.items():
        for name, value in outputs.items():
            broken = np.flatnonzero(~np.isfinite(value.reshape(len(value), -1)).all(axis=1))
            if broken.size:
                rows = ", ".join(map(str, broken))
                raise NotServable(f"{signature} answered a {name} that is NaN or infinite for rows {rows} (from 0)")
    _require_unit_norm("embed_image", answers["embed_image"]["image_embedding"], len(pictures))
    _require_unit_norm("embed_text", answers["embed_text"]["text_embedding"], len(captions))
    _require_probability(answers["serving_default"]["probability"], (len(pictures), len(captions)))
    _require_refusal(client, [*pictures, NO_PICTURE])


def median_seconds(client: GrpcClient, signature: str, inputs: Inputs, count: int) -> float:
    """What a request takes, as its client sees it, where the server has answered the signature before."""
    seconds = []
    for _ in range(count):
        start = time.monotonic()
        client.predict(signature, inputs)
        seconds.append(time.monotonic() - start)
    return statistics.median(seconds)


def send_mixed(client: GrpcClient, pictures: Sequence[bytes], captions: Sequence[bytes], count: int) -> None:
    """Sends `count` requests, to each serving signature in turn, of all rows and of one."""
    whole, single = requests_of(pictures, captions), requests_of(pictures[:1], captions[:1])
    mixed = itertools.cycle([*whole.items(), *single.items()])
    for signature, inputs in itertools.islice(mixed, count):
        client.predict(signature, inputs)


def _require_unit_norm(signature: str, embedding: np.ndarray, rows: int) -> None:
    if embedding.ndim != 2 or embedding.shape[0] != rows:
        raise NotServable(f"{signature} answered shape {embedding.shape}, but must answer [{rows}, D]")
    norms = np.linalg.norm(embedding, axis=1)
    if not np.all(np.abs(norms - 1) < UNIT_NORM_TOLERANCE):
        raise NotServable(f"{signature} answered embeddings of length {norms}, but they must have length 1")


def _require_probability(probability: np.ndarray, shape: tuple[int, int]) -> None:
    if probability.shape != shape:
        raise NotServable(f"serving_default answered shape {probability.shape}, but must answer {shape}")
    if not np.all((probability >= 0) & (probability <= 1)):
        raise NotServable(f"serving_default answered {probability}, but probabilities lie in [0, 1]")


def _require_refusal(client: GrpcClient, pictures: Sequence[bytes]) -> None:
    row = len(pictures) - 1
    try:
        client.predict("embed_image", {"image_bytes": pictures})
    except Refused as error:
        if error.rows != [row]:
            raise NotServable(
                f"embed_image refused a broken picture in row {row}, but named no row: {error}"
            ) from error
    else:
        raise NotServable(f"embed_image answered a broken picture in row {row} with an embedding")
