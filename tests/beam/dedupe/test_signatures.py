"""Bands find nearly all pairs of similar signatures; brute force is the reference."""

import json
import pathlib
import tempfile

import apache_beam
import numpy as np
import pytest

from beam.dedupe import signatures
from beam.dedupe.fingerprints import caption_signature

ROWS, DIM = 400, 32


def test_band_width_is_the_largest_that_the_threshold_allows():
    assert signatures.band_width(64, 0.8) == 4
    assert signatures.band_width(64, 0.5) == 2
    assert signatures.band_width(64, 1.0) == 64
    for agreement in (0.3, 0.5, 0.7, 0.8, 0.9, 0.95):
        for count in (64, signatures.PLANES):
            width = signatures.band_width(count, agreement)
            assert (1 - agreement**width) ** (count // width) <= 1e-3
            wider = width + 1
            assert (1 - agreement**wider) ** (count // wider) > 1e-3 or count // wider < 2


def embeddings() -> np.ndarray:
    """[ROWS, DIM], unit norm; each row of the second half has a cosine of .8 to 1 with one of the first half."""
    draw = np.random.default_rng(0)
    first = unit(draw.normal(size=(ROWS // 2, DIM)))
    away = draw.normal(size=first.shape)
    away = unit(away - first * (first * away).sum(axis=1, keepdims=True))
    cosines = np.linspace(0.8, 1.0, len(first))[:, None]
    return np.concatenate([first, cosines * first + np.sqrt(1 - cosines**2) * away]).astype(np.float32)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def captions() -> list[str]:
    """Captions of twenty words; each of the second half differs in up to six words from one of the first half."""
    words = np.random.default_rng(0).integers(0, 5000, (ROWS // 2, 20))
    changed = words.copy()
    for number, row in enumerate(changed):
        row[: number % 7] = 9000 + np.arange(number % 7)
    return [" ".join(f"w{word}" for word in row) for row in (*words, *changed)]


def estimates(made: list[bytes], elements: signatures.Elements) -> np.ndarray:
    """Share of equal elements for all pairs."""
    values = np.stack([elements(one) for one in made])
    return np.stack([(values == one).mean(axis=1) for one in values])


def found_edges(made: list[bytes], transform: signatures.SimilarSignatures) -> set[tuple[int, int]]:
    rows = [(one, number) for number, one in enumerate(made)]
    with tempfile.TemporaryDirectory() as folder:
        with apache_beam.Pipeline(runner="FnApiRunner") as pipeline:
            edges = pipeline | apache_beam.Create(rows) | transform
            (
                edges
                | apache_beam.Map(lambda part: json.dumps(part.tolist()))
                | apache_beam.io.WriteToText(f"{folder}/edges")
            )
        lines = [line for path in pathlib.Path(folder).iterdir() for line in path.read_text().splitlines()]
    return {tuple(sorted(edge)) for line in lines for edge in json.loads(line)}


@pytest.mark.parametrize("threshold", [0.9, 0.95])
def test_similar_embeddings_equal_brute_force(threshold):
    rows = embeddings()
    sign = signatures.EmbeddingSignatures(DIM)
    made = [sign(row) for row in rows]
    agreement = signatures.agreement_at(threshold)
    shares = estimates(made, signatures.plane_elements)
    errors = np.abs(np.cos(np.pi * (1 - shares)) - rows @ rows.T)
    assert errors.max() < 0.25  # five standard deviations at cosines around 0
    assert errors[rows @ rows.T > 0.94].max() < 0.04
    expected = {(a, b) for a, b in np.argwhere(shares >= agreement).tolist() if a < b}
    assert len(expected) > 40
    transform = signatures.SimilarSignatures(signatures.plane_elements, signatures.PLANES, agreement, 4096)
    assert found_edges(made, transform) == expected


@pytest.mark.parametrize("threshold", [0.5, 0.8])
def test_similar_captions_equal_brute_force(threshold):
    made = [caption_signature(caption) for caption in captions()]
    shares = estimates(made, signatures.minhash_elements)
    expected = {(a, b) for a, b in np.argwhere(shares >= threshold).tolist() if a < b}
    assert len(expected) > 60
    transform = signatures.SimilarSignatures(signatures.minhash_elements, 64, threshold, 4096)
    assert found_edges(made, transform) == expected


def test_crowded_band_is_compared_in_chunks_up_to_max_bucket(monkeypatch):
    made = [caption_signature(caption) for caption in captions()]
    everything = ((0, b""), [(one, number) for number, one in enumerate(made)])

    def pairs(max_bucket: int) -> list:
        found = signatures._similar(everything, signatures.minhash_elements, 0.5, max_bucket)
        return sorted(tuple(map(int, edge)) for part in found for edge in part)

    at_once = pairs(4096)
    monkeypatch.setattr(signatures, "_CHUNK", 64)
    assert pairs(4096) == at_once
    assert set(pairs(20)) < set(at_once)


def test_control_too_wide_bands_lose_pairs(monkeypatch):
    made = [caption_signature(caption) for caption in captions()]
    expected = (estimates(made, signatures.minhash_elements) >= 0.5).sum()
    monkeypatch.setattr(signatures, "band_width", lambda *_: 16)
    transform = signatures.SimilarSignatures(signatures.minhash_elements, 64, 0.5, 4096)
    assert len(found_edges(made, transform)) < 0.9 * (expected - ROWS) / 2


def test_signature_of_an_embedding_is_deterministic():
    one, other = signatures.EmbeddingSignatures(DIM), signatures.EmbeddingSignatures(DIM)
    for row in embeddings()[:5]:
        assert one(row) == other(row)
        assert len(one(row)) == signatures.PLANES // 8
