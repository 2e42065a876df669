"""What every script of this folder shares: the work, its input, and the lines that the script prints.

A script runs in its peer's own environment, so this module needs numpy only. tests/benchmarks/peer_steps.py runs them.
"""

import dataclasses
import itertools
import json
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

WARM_UP = 3  # steps before the timed ones; the work has "begun" when they are done
_BATCHES = 4


@dataclasses.dataclass(frozen=True)
class Case:
    """The work: SigLIP with two towers, the sigmoid loss, AdamW and clipping, in float32.

    Attributes:
      batch_size: pairs of a step.
      image_size, patch: pixels of a side.
      image_width, image_depth, image_heads, image_mlp: the image tower, with attention pooling.
      text_length, vocabulary: tokens of a text, and how many different ones there are.
      text_width, text_depth, text_heads, text_mlp: the text tower, pooled at the last token.
      learning_rate, weight_decay, beta_1, beta_2, epsilon, clip_norm: the optimiser; the decay is of kernels only.
      logit_scale, logit_bias: their values at the start.
      threads: number of threads for the matrix products.
      steps: number of timed steps.
      compiled: whether torch.compile compiles the towers.
    """

    batch_size: int
    image_size: int
    patch: int
    image_width: int
    image_depth: int
    image_heads: int
    image_mlp: int
    text_length: int
    vocabulary: int
    text_width: int
    text_depth: int
    text_heads: int
    text_mlp: int
    learning_rate: float
    weight_decay: float
    beta_1: float
    beta_2: float
    epsilon: float
    clip_norm: float
    logit_scale: float
    logit_bias: float
    threads: int
    steps: int
    compiled: bool = False


def arguments() -> dict[str, Any]:
    """The first argument of the command, a JSON object."""
    return json.loads(sys.argv[1])


def case() -> Case:
    """The work, from the first argument of the command."""
    return Case(**arguments())


def batches(work: Case) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures, uint8 [batch, size, size, 3], and tokens, int32 [batch, length], in memory."""
    rng = np.random.default_rng(0)
    pictures, texts = (work.batch_size, work.image_size, work.image_size, 3), (work.batch_size, work.text_length)
    return [
        (rng.integers(0, 256, pictures, dtype=np.uint8), rng.integers(0, work.vocabulary, texts, dtype=np.int32))
        for _ in range(_BATCHES)
    ]


def pictures(folder: str, rows: int) -> list[bytes]:
    """The encoded pictures in a folder, by name: the first `rows`."""
    return [path.read_bytes() for path in sorted(pathlib.Path(folder).iterdir())[:rows]]


def run(work: Case, step: Callable[[np.ndarray, np.ndarray], float], parameters: int, software: str) -> None:
    """Runs all steps, and prints one JSON object a line: first what runs, then each step.

    Args:
      work: the work.
      step: trains on a batch, and returns its loss.
      parameters: number of trained numbers, so that the driver sees that all scripts train the same model.
      software: names and versions.
    """
    _say(software=software, size=parameters, warm_up=WARM_UP)
    for pictures, tokens in itertools.islice(itertools.cycle(batches(work)), WARM_UP + work.steps):
        start = time.perf_counter()
        loss = step(pictures, tokens)
        _say(ms=1000 * (time.perf_counter() - start), loss=loss)


def repeat(work: Callable[[], object], times: int, software: str, rows: int) -> None:
    """Does work once to warm up, and then `times` times; prints lines as `run` does, without a loss."""
    _say(software=software, size=rows, warm_up=1)
    for _ in range(1 + times):
        start = time.perf_counter()
        work()
        _say(ms=1000 * (time.perf_counter() - start))


def _say(**values: object) -> None:
    print(json.dumps(values), flush=True)
