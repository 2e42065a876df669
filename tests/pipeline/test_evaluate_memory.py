"""`pipeline.evaluate` needs memory for its rows, not for rows times classes."""

import tracemalloc

import numpy as np
import pytest

from models.evaluation import bootstrap, modality
from models.evaluation.collector import Collector
from models.serving.label_sets import LabelSet
from pipeline.evaluation import scores
from tests.pipeline.planted import Planted, row, shard

MANY, DIM = 1000, 64
SIZES = [(384, 1152), pytest.param((1536, 6144), marks=pytest.mark.slow)]
FEW_BYTES = 12 * DIM + 300  # both embeddings in float32, one of them twice while it is joined; ids, ranks and shares


class Bar:
    """Notes the peak of the memory of arrays up to the last row, and lets that of the metrics start anew."""

    def __init__(self, rows: int) -> None:
        self.left, self.reading = rows, 0

    def update(self, count: int) -> None:
        self.left -= count
        if not self.left:
            self.reading = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()


@pytest.fixture
def grown(tmp_path, monkeypatch):
    """(rows, more rows) -> bytes at the peak for each further row: while rows are read, and from then to the end."""
    monkeypatch.setattr(bootstrap, "_BLOCK", 1 << 14)  # blocks that all sizes fill, so that they are no growth
    monkeypatch.setattr(modality, "_ROWS", 64)
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)
    codes = np.random.default_rng(0).normal(size=(MANY, DIM)).astype(np.float32)
    labels = LabelSet(tuple(f"c{i}" for i in range(MANY)), ("{}",), codes / np.linalg.norm(codes, axis=1)[:, None])

    def peaks(rows: int) -> np.ndarray:
        (tmp_path / f"{rows}").mkdir()
        split = shard(tmp_path / f"{rows}", [row(i, (f"c{i % MANY}",)) for i in range(rows)])
        bar = Bar(rows)
        tracemalloc.start()
        found = scores.measure(Planted(labels.embedding), split, labels, bar, retrieves=False)
        finishing = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (found.rows, found.metrics["zero_shot_accuracy"]) == (rows, 1.0)
        return np.array([bar.reading, finishing])

    peaks(128)  # what the first call keeps for good
    return lambda rows, more: (peaks(more) - peaks(rows)) / (more - rows)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_memory_does_not_grow_with_pictures_times_classes_up_to_the_last_metric(grown, sizes):
    reading, finishing = grown(*sizes)
    assert 8 * DIM < reading < FEW_BYTES
    assert 8 * DIM < finishing < FEW_BYTES


def test_control_memory_grows_if_all_similarities_are_kept(grown, monkeypatch):
    kept, usual = [], Collector.add

    def keep(self: Collector, outputs: dict[str, np.ndarray]) -> None:
        kept.append(outputs["class_similarity"])
        usual(self, outputs)

    monkeypatch.setattr(Collector, "add", keep)
    assert min(grown(*SIZES[0])) > 4 * MANY > 2 * FEW_BYTES
