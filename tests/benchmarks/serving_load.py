"""A served model under mixed load: its answers, its rate, and whether its memory grows.

`python -m tests.benchmarks.serving_load --seconds 600` prints the figures. Requests go over this machine's loopback.
"""

import argparse
import dataclasses
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image

from components.serving_clients import GrpcClient, LocalClient, Refused
from tests.pictures import encode, shape_pairs
from tests.served import process_server

_CLIENTS = 2
_PARTS = 5  # of the time; in the first one, memory settles
Request = tuple[str, Mapping[str, Sequence[bytes]]]


@dataclasses.dataclass(frozen=True)
class Load:
    """The result; bytes are the server's resident memory.

    Attributes:
      seconds: how long the load lasted.
      answered, refused: numbers of requests; every refused one had a broken picture, and the refusal named its row.
      settled_bytes: memory after the first fifth of the time.
      largest_bytes: the largest memory after that.
      median_bytes: the median in each fifth of the time; with a leak it rises until the end.
    """

    seconds: float
    answered: int
    refused: int
    settled_bytes: int
    largest_bytes: int
    median_bytes: tuple[float, ...]

    def __str__(self) -> str:
        rate = (self.answered + self.refused) / self.seconds
        by_fifth = ", ".join(f"{number / 1e6:,.1f}" for number in self.median_bytes)
        return (
            f"{self.seconds:.0f} s of mixed load: {self.answered:,} requests answered as locally, {self.refused:,} "
            f"refused by row, {rate:.1f}/s; memory in each fifth of the time {by_fifth} MB (median), growth "
            f"since the first {self.growth_bytes / 1e6:.1f} MB"
        )

    @property
    def growth_bytes(self) -> int:
        """How far memory rose above its value after the first fifth of the time."""
        return self.largest_bytes - self.settled_bytes


def requests() -> tuple[list[Request], Request]:
    """Requests that a server answers, with one row or many, and small or large pictures; and one that it refuses."""
    pictures, captions, _ = zip(*shape_pairs()[:32], strict=True)
    texts = [caption.encode() for caption in captions]
    photo = encode(Image.effect_noise((900, 700), 90).convert("RGB"), "JPEG")
    strip = encode(Image.linear_gradient("L").resize((10_000, 10)))
    good: list[Request] = [
        ("embed_image", {"image_bytes": pictures[:1]}),
        ("embed_text", {"text": texts[:1]}),
        ("serving_default", {"image_bytes": pictures[:8], "labels": texts[:5]}),
        ("embed_image", {"image_bytes": [photo, strip, *pictures]}),
        ("embed_text", {"text": [*texts, b"", b"x" * 10_000, "😀".encode(), b"\xff"]}),
        ("serving_default", {"image_bytes": [photo], "labels": texts}),
    ]
    return good, ("embed_image", {"image_bytes": [pictures[0], b"broken", photo]})


def run(saved_model: str, seconds: float) -> Load:
    """Runs two clients for `seconds`, and at least two rounds; each sends its next request after the last answer.

    Raises:
      AssertionError: an answer is not the local one to 1e-5, or no refusal named the row of a broken picture.
      serving_clients.NoAnswer: the server failed.
    """
    good, broken = requests()
    local = LocalClient(saved_model)
    expected = [local.predict(*request) for request in good]
    failures: list[BaseException] = []
    counts = [[0, 0] for _ in range(_CLIENTS)]
    with process_server(saved_model) as runner:
        start = time.monotonic()

        def ask(number: int) -> None:
            client = GrpcClient(runner.GetEndpoint())
            try:
                while not failures and (time.monotonic() - start < seconds or min(counts[number]) < 2):
                    for request, answer in zip(good, expected, strict=True):
                        _require_same(client.predict(*request), answer)
                        counts[number][0] += 1
                    _require_refusal(client, broken)
                    counts[number][1] += 1
            except BaseException as error:
                failures.append(error)

        clients = [threading.Thread(target=ask, args=(number,)) for number in range(_CLIENTS)]
        for client in clients:
            client.start()
        samples: list[tuple[float, int]] = []
        while any(client.is_alive() for client in clients):
            time.sleep(min(1.0, seconds / 50))
            samples.append((time.monotonic() - start, runner.memory().now))
        elapsed = time.monotonic() - start
        if failures:
            raise failures[0]
    answered, refused = (sum(column) for column in zip(*counts, strict=True))
    parts: list[list[int]] = [[] for _ in range(_PARTS)]
    for second, size in samples:
        parts[min(_PARTS - 1, int(second / elapsed * _PARTS))].append(size)
    settled = [size for part in parts[1:] for size in part]
    medians = tuple(statistics.median(part) for part in parts)
    return Load(elapsed, answered, refused, settled[0], max(settled), medians)


def _require_same(answer: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    for name, value in expected.items():
        np.testing.assert_allclose(answer[name], value, atol=1e-5)


def _require_refusal(client: GrpcClient, request: Request) -> None:
    try:
        client.predict(*request)
    except Refused as error:
        if error.rows == [1]:
            return
        raise AssertionError(f"the broken picture in row 1 was refused with: {error}") from error
    raise AssertionError("a broken picture was answered")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    from tests.benchmarks.serving import export_quickstart

    with tempfile.TemporaryDirectory() as folder:
        saved_model = export_quickstart(folder).saved_model
        print(run(saved_model, parser.parse_args().seconds))


if __name__ == "__main__":
    main()
