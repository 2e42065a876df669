"""Real requests to a served model, and the checks of single answers."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from components.serving_clients import GrpcClient, Refused
from models.serving import export

UNIT_NORM_TOLERANCE = 1e-3
NO_PICTURE = b"not a picture"
IMAGE, TEXT, ZERO_SHOT = "embed_image", "embed_text", "serving_default"
Inputs = Mapping[str, Sequence[bytes]]
Answer = Mapping[str, np.ndarray]


class NotServable(ValueError):
    """The model must not be served; the report shows the message."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of requests.

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
            IMAGE: {"image_bytes": self.pictures},
            TEXT: {"text": self.captions},
            ZERO_SHOT: {"image_bytes": self.pictures, "labels": self.captions},
            **{export.CLASSIFY + name: {"image_bytes": self.pictures} for name in self.label_counts},
        }

    def take(self, places: Sequence[int]) -> "Rows":
        """Returns the pictures and captions at these places, in this order."""
        pictures = [self.pictures[place] for place in places]
        return dataclasses.replace(self, pictures=pictures, captions=[self.captions[place] for place in places])

    def labels(self, signature: str) -> int:
        """The number of labels that a signature with probabilities answers for."""
        return (
            len(self.captions) if signature == ZERO_SHOT else self.label_counts[signature.removeprefix(export.CLASSIFY)]
        )


def first_answers(client: GrpcClient, rows: Rows) -> dict[str, Answer]:
    """Sends one valid request to each serving signature, and one request with a broken picture.

    Returns:
      {signature: its answer for all rows}.

    Raises:
      NotServable: a shape, norm or value breaks the contract, or no refusal names the row of the broken picture.
      serving_clients.Refused: the model refused a valid request.
      serving_clients.NoAnswer: the server failed.
    """
    answers: dict[str, Answer] = {
        signature: client.predict(signature, inputs) for signature, inputs in rows.requests().items()
    }
    for signature, answer in answers.items():
        require_valid(signature, answer, rows)
    require_refusal(client, rows)
    return answers


def require_valid(signature: str, answer: Answer, rows: Rows) -> None:
    """Raises NotServable unless an answer has finite values, the right shapes, unit norms and probabilities."""
    for name, value in answer.items():
        if not value.ndim or value.dtype.kind in "OSU":
            raise NotServable(f"{signature} answered a {name} of shape {value.shape} and type {value.dtype}")
        broken = np.flatnonzero(~np.isfinite(value).all(axis=tuple(range(1, value.ndim))))
        if broken.size:
            where = ", ".join(map(str, broken))
            raise NotServable(f"{signature} answered a {name} that is NaN or infinite for rows {where} (from 0)")
    count = len(rows.pictures)
    if signature in (IMAGE, TEXT):
        name = "image_embedding" if signature == IMAGE else "text_embedding"
        _require_unit_norm(signature, _output(signature, answer, name), count)
    else:
        _require_probability(signature, _output(signature, answer, "probability"), (count, rows.labels(signature)))


def require_refusal(client: GrpcClient, rows: Rows) -> None:
    """Raises NotServable unless the model refuses bytes that are no picture, and names their row."""
    row = len(rows.pictures)
    try:
        client.predict(IMAGE, {"image_bytes": [*rows.pictures, NO_PICTURE]})
    except Refused as error:
        if error.rows != [row]:
            raise NotServable(f"{IMAGE} refused a broken picture in row {row}, but named no row: {error}") from error
    else:
        raise NotServable(f"{IMAGE} answered a broken picture in row {row} with an embedding")


def _output(signature: str, answer: Answer, name: str) -> np.ndarray:
    if name not in answer:
        raise NotServable(f"{signature} answered {', '.join(sorted(answer)) or 'nothing'}, but must answer {name}")
    return answer[name]


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
