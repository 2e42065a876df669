"""Sends real requests and checks the answers."""

import dataclasses
import itertools
import statistics
import time
from collections.abc import Mapping, Sequence

import numpy as np

from components.serving_clients import GrpcClient, Refused
from models.serving import export

UNIT_NORM_TOLERANCE = 1e-3
NO_PICTURE = b"not a picture"
Inputs = Mapping[str, Sequence[bytes]]


class NotServable(ValueError):
    """The model must not be served; the report shows the message."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of a request.

    Attributes:
      pictures: encoded pictures.
      captions: one for each picture.
      label_counts: {name: number of labels} of the model's own label sets.
    """

    pictures: Sequence[bytes]
    captions: Sequence[bytes]
    label_counts: Mapping[str, int]

    def requests(self) -> dict[str, Inputs]:
        """Returns {signature: inputs} for one request to each serving signature."""
        return {
            "embed_image": {"image_bytes": self.pictures},
            "embed_text": {"text": self.captions},
            "serving_default": {"image_bytes": self.pictures, "labels": self.captions},
            **{export.CLASSIFY + name: {"image_bytes": self.pictures} for name in self.label_counts},
        }

    def first(self) -> "Rows":
        """Returns the first picture and the first caption only."""
        return dataclasses.replace(self, pictures=self.pictures[:1], captions=self.captions[:1])


def check_answers(client: GrpcClient, rows: Rows) -> None:
    """Sends one valid request to each serving signature, and one request with a broken picture.

    Raises:
      NotServable: a shape, norm or value breaks the contract, or no refusal names the row of the broken picture.
      serving_clients.Refused: the model refused a valid request.
      serving_clients.NoAnswer: the server failed.
    """
    answers = {signature: client.predict(signature, inputs) for signature, inputs in rows.requests().items()}
    for signature, outputs in answers.items():
        for name, value in outputs.items():
            broken = np.flatnonzero(~np.isfinite(value.reshape(len(value), -1)).all(axis=1))
            if broken.size:
                where = ", ".join(map(str, broken))
                raise NotServable(f"{signature} answered a {name} that is NaN or infinite for rows {where} (from 0)")
    pictures = len(rows.pictures)
    _require_unit_norm("embed_image", answers["embed_image"]["image_embedding"], pictures)
    _require_unit_norm("embed_text", answers["embed_text"]["text_embedding"], len(rows.captions))
    labels = {"serving_default": len(rows.captions)}
    labels |= {export.CLASSIFY + name: count for name, count in rows.label_counts.items()}
    for signature, count in labels.items():
        _require_probability(signature, answers[signature]["probability"], (pictures, count))
    _require_refusal(client, [*rows.pictures, NO_PICTURE])


def median_seconds(client: GrpcClient, signature: str, inputs: Inputs, count: int) -> float:
    """Returns the median latency of `count` requests at the client (seconds); call it after a first request."""
    seconds = []
    for _ in range(count):
        start = time.monotonic()
        client.predict(signature, inputs)
        seconds.append(time.monotonic() - start)
    return statistics.median(seconds)


def send_mixed(client: GrpcClient, rows: Rows, count: int) -> None:
    """Sends `count` requests: to each serving signature in turn with all rows, then to each with one row."""
    mixed = itertools.cycle([*rows.requests().items(), *rows.first().requests().items()])
    for signature, inputs in itertools.islice(mixed, count):
        client.predict(signature, inputs)


def _require_unit_norm(signature: str, embedding: np.ndarray, rows: int) -> None:
    if embedding.ndim != 2 or embedding.shape[0] != rows:
        raise NotServable(f"{signature} answered shape {embedding.shape}, but must answer [{rows}, D]")
    norms = np.linalg.norm(embedding, axis=1)
    if not np.all(np.abs(norms - 1) < UNIT_NORM_TOLERANCE):
        raise NotServable(f"{signature} answered embeddings of length {norms}, but they must have length 1")


def _require_probability(signature: str, probability: np.ndarray, shape: tuple[int, int]) -> None:
    if probability.shape != shape:
        raise NotServable(f"{signature} answered shape {probability.shape}, but must answer {shape}")
    if not np.all((probability >= 0) & (probability <= 1)):
        raise NotServable(f"{signature} answered {probability}, but probabilities lie in [0, 1]")


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
