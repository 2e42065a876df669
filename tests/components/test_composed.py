"""Composed retrieval of a planted model equals loops over queries and candidates, in the metrics and in the report."""

import functools
import pathlib
import zlib

import numpy as np
import pytest

from beam import thumbnails
from beam.records import ImageText
from components.metrics import composed
from components.run_report import composed_queries
from models.evaluation import composition
from tests.models.training.shapes import write_shards
from tests.pictures import shape_pairs

TONES = ("light", "medium-light", "medium", "medium-dark", "dark")
WHO = [(who, job, tone) for job in ("cook", "pilot", "singer") for who in ("man", "woman") for tone in TONES]
PICTURES = [picture for picture, _, _ in shape_pairs()[::7]][: len(WHO)]
ROWS = [
    ImageText(f"k{i:02}", PICTURES[i], f"{who} {job} {tone} skin tone", "x:1", "t")
    for i, (who, job, tone) in enumerate(WHO)
]
KS = (1, 5, 10)


@functools.cache
def drawn(of: bytes) -> np.ndarray:
    """A unit-norm embedding that the bytes decide."""
    rows = np.random.default_rng(zlib.crc32(of)).normal(size=4)
    return np.float32(rows / np.linalg.norm(rows))


class Planted:
    """Draws an embedding for each picture, text and pair. A pair's norm is not 1: its kind of query is normalised."""

    signatures: tuple[str, ...] = ("embed_image", "embed_text", "embed_pair")

    def call(self, signature, **inputs):
        values = [one.encode() if isinstance(one, str) else one for one in inputs.get("text", [])]
        if signature == "embed_text":
            return {"text_embedding": np.stack([drawn(one) for one in values])}
        if signature == "embed_image":
            return {"image_embedding": np.stack([drawn(one) for one in inputs["image_bytes"]])}
        pairs = zip(inputs["image_bytes"], values, strict=True)
        return {"pair_embedding": np.stack([3 * drawn(image + b"+" + text) for image, text in pairs])}


class Apart(Planted):
    """The same without `embed_pair`."""

    signatures = ("embed_image", "embed_text")


def asked() -> list[tuple[int, str, int]]:
    """Source, words and target of each query: two names with one difference, in the order of both."""
    return [
        (a, f"{tone} skin tone" if who == WHO[a][0] else who, b)
        for a in range(len(WHO))
        for b, (who, job, tone) in enumerate(WHO)
        if job == WHO[a][1] and (who == WHO[a][0]) != (tone == WHO[a][2])
    ]


def query(kind: str, source: int, words: str) -> np.ndarray:
    image, text = drawn(PICTURES[source]), drawn(words.encode())
    return {
        composed.PAIR: drawn(PICTURES[source] + b"+" + words.encode()),
        composed.PICTURE: image,
        composed.TEXT: text,
        composed.SUM: (image + text) / np.linalg.norm(image + text),
    }[kind]


def best_first(kind: str, source: int, words: str) -> list[int]:
    """All candidates: every picture but the query's own."""
    scores = {row: drawn(PICTURES[row]) @ query(kind, source, words) for row in range(len(ROWS)) if row != source}
    return sorted(scores, key=lambda row: -scores[row])


@pytest.fixture(scope="module")
def expected() -> dict[str, dict[int, float]]:
    found = {}
    for kind in (composed.PAIR, composed.PICTURE, composed.TEXT, composed.SUM):
        ranks = [best_first(kind, source, words).index(target) for source, words, target in asked()]
        found[kind] = {k: sum(rank < k for rank in ranks) / len(ranks) for k in KS}
    return found


def test_the_recalls_of_all_four_kinds_equal_a_loop(expected, monkeypatch):
    monkeypatch.setattr(composed, "_BATCH", 7)  # pictures and pairs are embedded in several batches
    found = composed.measure(Planted(), ROWS, has_pairs=True)
    assert [(one.source, one.words, one.target) for one in found.queries] == asked()
    recalls = {kind: {k: one.value for k, one in by_k.items()} for kind, by_k in found.recalls.items()}
    assert recalls == {kind: pytest.approx(by_k) for kind, by_k in expected.items()}
    assert len({by_k[5] for by_k in expected.values()}) == 4  # control: no kind may stand for another
    assert all(by_k[1] < by_k[5] < by_k[10] < 1 for by_k in expected.values())
    for number, (source, words, _) in enumerate(asked()):
        similarity = [float(query(composed.PAIR, source, words) @ drawn(picture)) for picture in PICTURES]
        np.testing.assert_allclose(found.similarity[number], similarity, atol=1e-6)
    named = composition.as_metrics(found.recalls)
    short = {composed.PAIR: "pair", composed.PICTURE: "picture", composed.TEXT: "words", composed.SUM: "sum"}
    assert named == {
        f"composed_{short[kind]}_recall_at_{k}": pytest.approx(value)
        for kind, by_k in expected.items()
        for k, value in by_k.items()
    }


def test_without_embed_pair_the_other_kinds_are_the_same(expected):
    found = composed.measure(Apart(), ROWS, has_pairs=False)
    recalls = {kind: {k: one.value for k, one in by_k.items()} for kind, by_k in found.recalls.items()}
    assert recalls == {kind: pytest.approx(by_k) for kind, by_k in expected.items() if kind != composed.PAIR}
    assert found.shown == composed.SUM


@pytest.fixture(scope="module")
def split(tmp_path_factory) -> str:
    folder: pathlib.Path = tmp_path_factory.mktemp("rows") / "Split-test"
    write_shards(folder, 2, [row.to_example() for row in ROWS])
    return str(folder)


@pytest.mark.parametrize("model", [Planted(), Apart()])
def test_the_report_shows_evenly_spread_queries_with_their_five_nearest(model, split, expected):
    found = composed_queries.of_split(model, split, -1, 0.9)
    kind = composed.SUM if isinstance(model, Apart) else composed.PAIR
    assert (found.count, found.pictures, found.kind) == (150, 30, kind)
    assert found.chance == {k: pytest.approx(k / 29) for k in KS}
    assert found.recalls[kind][5]["value"] == pytest.approx(expected[kind][5])
    assert set(found.recalls[kind][5]) == {"value", "low", "high"}
    numbers = [0, 18, 36, 54, 72, 90, 108, 126]  # eight, 150 // 8 apart
    assert len(found.shown) == len(numbers)
    for shown, number in zip(found.shown, numbers, strict=True):
        source, words, target = asked()[number]
        assert (shown.caption, shown.words, shown.target) == (ROWS[source].caption, words, ROWS[target].caption)
        assert shown.image == thumbnails.data_address(PICTURES[source])
        nearest = best_first(kind, source, words)[:5]
        assert [one.caption for one in shown.nearest] == [ROWS[row].caption for row in nearest]
        assert [one.image for one in shown.nearest] == [thumbnails.data_address(PICTURES[row]) for row in nearest]
        assert [one.right for one in shown.nearest] == [row == target for row in nearest]
    rights = [one.right for shown in found.shown for one in shown.nearest]
    assert 0 < sum(rights) < len(rights)  # control: both occur


def test_the_report_has_no_queries_if_no_two_names_differ_in_one_word(split):
    assert composed_queries.of_split(Planted(), split, 1, 0.9) is None
