"""Real requests to a served model, and the checks of single answers."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from components.serving_clients import GrpcClient, Refused
from models.objectives.signatures import EMBEDDING, IMAGE_BYTES, INPUTS, PROBABILITY, TEXT
from models.serving import contract
from models.serving.contract import CLASSIFY, EMBED_IMAGE, EMBED_TEXT, ZERO_SHOT, Names

UNIT_NORM_TOLERANCE = 1e-3
NO_PICTURE = b"not a picture"
Inputs = Mapping[str, Sequence[bytes]]
Answer = Mapping[str, np.ndarray]
_MUST_ANSWER = {EMBED_IMAGE: "image_embedding", EMBED_TEXT: "text_embedding", ZERO_SHOT: PROBABILITY}


class NotServable(ValueError):
    """The model must not be served; the report shows the message."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of requests.

    Attributes:
      pictures: encoded pictures.
      captions: one for each picture.
      signatures: {signature: its inputs and outputs}, all that users ask; see `models.serving.contract.served`.
      label_counts: {name: number of labels} of the model's own label sets.
    """

    pictures: Sequence[bytes]
    captions: Sequence[bytes]
    signatures: Mapping[str, Names]
    label_counts: Mapping[str, int]

    def requests(self) -> dict[str, Inputs]:
        """Returns {signature: inputs} for one request to each serving signature.

        Raises:
          NotServable: a signature has an input that is neither pictures nor texts.
        """
        try:
            return {
                signature: contract.request(signature, names, self.pictures, self.captions)
                for signature, names in self.signatures.items()
            }
        except ValueError as error:
            raise NotServable(str(error)) from error

    def take(self, places: Sequence[int]) -> "Rows":
        """Returns the pictures and captions at these places, in this order."""
        pictures = [self.pictures[place] for place in places]
        return dataclasses.replace(self, pictures=pictures, captions=[self.captions[place] for place in places])

    def labels(self, signature: str) -> int | None:
        """The number of labels that a signature must answer for; None if it answers for none, or the set is unknown."""
        return len(self.captions) if signature == ZERO_SHOT else self.label_counts.get(signature.removeprefix(CLASSIFY))


def require_signatures(rows: Rows) -> None:
    """Raises NotServable unless the model has the signatures of every model, and one for each of its label sets."""
    wanted = [*_MUST_ANSWER, *(CLASSIFY + name for name in rows.label_counts)]
    if missing := [name for name in wanted if name not in rows.signatures]:
        raise NotServable(
            f"the model has no signature {', '.join(missing)}, but {', '.join(rows.signatures) or 'none'}"
        )


def first_answers(client: GrpcClient, rows: Rows) -> dict[str, Answer]:
    """Sends one valid request to each serving signature, and requests that must be refused.

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
    """Raises NotServable unless an answer has finite values, the right shapes, unit norms and probabilities.

    Outputs are known by their names: ..._embedding is [N, D] of unit norm, `probability` lies in [0, 1]. Only further
    signatures may answer strings.
    """
    common, count = contract.is_common(signature), len(rows.pictures)
    for name, value in answer.items():
        text = value.dtype.kind in "OSU"
        if not value.ndim or (text and common) or (not common and len(value) != count):
            raise NotServable(f"{signature} answered a {name} of shape {value.shape} and type {value.dtype}")
        if text:
            continue
        broken = np.flatnonzero(~np.isfinite(value).all(axis=tuple(range(1, value.ndim))))
        if broken.size:
            where = ", ".join(map(str, broken))
            raise NotServable(f"{signature} answered a {name} that is NaN or infinite for rows {where} (from 0)")
    if common:
        _output(signature, answer, _MUST_ANSWER.get(signature, PROBABILITY))
    for name, value in answer.items():
        if name.endswith(EMBEDDING):
            _require_unit_norm(signature, value, count)
        elif name == PROBABILITY:
            _require_probability(signature, value, count, rows.labels(signature))


def require_refusal(client: GrpcClient, rows: Rows) -> None:
    """Raises NotServable unless the model refuses bytes that are no picture, and names their row.

    Further signatures are asked, too. One with pictures and texts must also refuse one text less than pictures.
    """
    row = len(rows.pictures)
    for signature, names in rows.signatures.items():
        further = not contract.is_common(signature)
        if IMAGE_BYTES not in names.inputs or not (further or signature == EMBED_IMAGE):
            continue
        broken = dict(contract.request(signature, names, [*rows.pictures, NO_PICTURE], [*rows.captions, b""]))
        _require_refused(client, signature, broken, row)
        if names.inputs == INPUTS[-1]:
            unequal = {IMAGE_BYTES: [*rows.pictures, rows.pictures[0]], TEXT: rows.captions}
            try:
                client.predict(signature, unequal)
            except Refused:
                continue
            raise NotServable(f"{signature} answered {row + 1} pictures with {row} texts, but must refuse them")


def _require_refused(client: GrpcClient, signature: str, inputs: Inputs, row: int) -> None:
    try:
        answer = client.predict(signature, inputs)
    except Refused as error:
        if error.rows != [row]:
            raise NotServable(
                f"{signature} refused a broken picture in row {row}, but named no row: {error}"
            ) from error
    else:
        what = "an embedding" if signature == EMBED_IMAGE else f"a {', '.join(answer)}"
        raise NotServable(f"{signature} answered a broken picture in row {row} with {what}")


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


def _require_probability(signature: str, probability: np.ndarray, rows: int, labels: int | None) -> None:
    shape = (rows, *probability.shape[1:]) if labels is None else (rows, labels)
    if probability.shape != shape:
        raise NotServable(f"{signature} answered shape {probability.shape}, but must answer {shape}")
    if not np.all((probability >= 0) & (probability <= 1)):
        raise NotServable(f"{signature} answered {probability}, but probabilities lie in [0, 1]")
