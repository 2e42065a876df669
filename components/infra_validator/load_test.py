"""The load test: many requests, whose answers must be the first answers to the same pictures and texts."""

import concurrent.futures
import itertools
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from components.infra_validator.serving_requests import (
    Answer,
    Inputs,
    NotServable,
    Rows,
    first_answers,
    require_valid,
)
from components.serving_clients import GrpcClient
from models.objectives.signatures import EMBEDDING
from models.serving.contract import ZERO_SHOT

_CLIENTS = 2
_TOLERANCE_OF_EMBEDDINGS = 1e-3
_TOLERANCE_OF_OTHERS = 2e-2  # a logit has the error of a cosine times a scale of a hundred or so
_SMALLEST = {"probability": 1e-4}  # the error is relative to the value, or to this if the value is smaller


class LoadTest:
    """Sends requests of one row up to all rows, in changing order and at the same time, and checks every answer.

    An answer is wrong if it breaks the contract, or if it is not the first answer to the same pictures and texts. So an
    answer must not depend on earlier requests, on requests at the same time, on the other rows of its request, or on
    their number.
    """

    def __init__(self, client: GrpcClient, rows: Rows) -> None:
        """Sends the first request to each signature.

        Raises:
          NotServable, serving_clients.Refused, serving_clients.NoAnswer: see `serving_requests.first_answers`.
        """
        self._client, self._rows = client, rows
        self._all = list(range(len(rows.pictures)))
        self._first = first_answers(client, rows)
        self._order = self._requests()

    def median_seconds(self, signature: str, count: int) -> float:
        """Returns the median latency of `count` requests with all rows at the client (seconds)."""
        return statistics.median(self._send(signature, self._all) for _ in range(count))

    def send_mixed(self, count: int) -> None:
        """Sends `count` requests, two at a time, to each serving signature in turn.

        Raises:
          NotServable: an answer is wrong.
          serving_clients.Refused, serving_clients.NoAnswer: the server did not answer a valid request.
        """
        with concurrent.futures.ThreadPoolExecutor(_CLIENTS) as clients:
            sent = [clients.submit(self._send, *one) for one in itertools.islice(self._order, count)]
            try:
                for one in concurrent.futures.as_completed(sent):
                    one.result()
            finally:
                clients.shutdown(cancel_futures=True)

    def _requests(self) -> Iterator[tuple[str, list[int]]]:
        """Yields signatures with the places of the rows to send: each signature with all numbers of rows in turn."""
        count = len(self._all)
        pairs = itertools.zip_longest(range(count, 0, -1), range(1, count))
        sizes = list(dict.fromkeys(size for pair in pairs for size in pair if size))  # N, 1, N - 1, 2, ...
        for turn, size in enumerate(itertools.cycle(sizes)):
            start = turn + turn // count
            places = [(start + place) % count for place in range(size)]
            for signature in self._rows.requests():
                yield signature, places[:: 1 if turn % 2 else -1]

    def _send(self, signature: str, places: Sequence[int]) -> float:
        rows = self._rows.take(places)
        inputs: Inputs = rows.requests()[signature]
        start = time.monotonic()
        answer = self._client.predict(signature, inputs)
        seconds = time.monotonic() - start
        require_valid(signature, answer, rows)
        _require_same(signature, answer, _expected(signature, self._first[signature], places))
        return seconds


def _expected(signature: str, first: Answer, places: Sequence[int]) -> dict[str, np.ndarray]:
    """The part of a first answer for the rows at these places."""
    parts = {name: value[list(places)] for name, value in first.items()}
    return {name: value[:, list(places)] for name, value in parts.items()} if signature == ZERO_SHOT else parts


def _require_same(signature: str, answer: Answer, expected: Mapping[str, np.ndarray]) -> None:
    if answer.keys() != expected.keys():
        raise NotServable(f"{signature} answered {sorted(answer)}, but {sorted(expected)} at first")
    for name, value in answer.items():
        right = expected[name]
        tolerance = _TOLERANCE_OF_EMBEDDINGS if name.endswith(EMBEDDING) else _TOLERANCE_OF_OTHERS
        if value.shape != right.shape:
            raise NotServable(f"{signature} answered a {name} of shape {value.shape}, but must answer {right.shape}")
        if value.dtype.kind in "OSU":
            continue  # strings may change places where their probabilities are equal but for rounding
        difference = np.abs(value - right) / np.maximum(_SMALLEST.get(name, 1), np.abs(right))
        if difference.max(initial=0) > tolerance:
            rows = ", ".join(map(str, np.flatnonzero(difference.reshape(len(value), -1).max(axis=1) > tolerance)))
            raise NotServable(
                f"{signature} answered another {name} than at first to the same rows: rows {rows} (from 0) of "
                f"{len(value)} differ by up to {difference.max():.2g}, but may differ by {tolerance:g}; an answer "
                "must not depend on other requests or on the other rows of its request"
            )
