"""The codebook: the same for the same rows, better with more codes, and refused where it does not fit."""

import json
import pickle
import weakref

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components.artifacts import VisualCodebook
from components.declaration import describe_examples
from components.visual_codebook import executor
from models import settings
from models.layers import visual_codes
from models.layers.visual_codes import Codebook, CodebookError
from models.settings import configuration
from tests.models.training.shapes import EXAMPLES, write_shards

TOWER = settings.ImageTowerSettings(size=24, patch=8, width=32, depth=1, heads=2, mlp_dim=64)
DIM = 3 * 8 * 8 + 1


def made(folder, shards: int = 1, examples=EXAMPLES[:60], **changes: object) -> tuple[bytes, dict]:
    """The bytes and facts of the codebook of some rows."""
    config = settings.VisualCodebookSettings(**{"codes": 16, "patches": 400, **changes})
    split = folder / "examples" / "Split-train"
    write_shards(split, shards, list(examples))
    inputs, output = standard_artifacts.Examples(), VisualCodebook()
    inputs.uri, output.uri = str(folder / "examples"), str(folder / "codebook")
    describe_examples(inputs, ["train"])
    executor.Executor().run(inputs, configuration.to_gin(settings.VisualCodesSettings(config, TOWER)), output)
    facts = json.loads((folder / "codebook" / executor.FACTS_FILE).read_text())
    return (folder / "codebook" / visual_codes.CODEBOOK_FILE).read_bytes(), facts


def test_the_same_rows_give_the_same_bytes_however_many_workers_wrote_them(tmp_path):
    one, facts = made(tmp_path / "one")
    four, _ = made(tmp_path / "four", shards=4, examples=EXAMPLES[:60][::-1])
    assert one == four
    assert facts["codes"] == 16
    assert len(facts["pictures"]) == 8
    other, _ = made(tmp_path / "other", seed=1)
    assert other != one  # control


def test_a_codebook_of_another_file_is_copied_and_measured(tmp_path):
    rng = np.random.default_rng(0)
    book = Codebook(np.float32(rng.normal(size=(5, DIM))), np.ones(5, np.float32), 8)
    (tmp_path / "book.npz").write_bytes(visual_codes.as_bytes(book))
    content, facts = made(tmp_path, path=str(tmp_path / "book.npz"))
    assert content == (tmp_path / "book.npz").read_bytes()
    assert facts["codes"] == 5
    assert facts["asked_codes"] == 16
    own, _ = made(tmp_path / "own")  # control
    assert own != content
    with pytest.raises(CodebookError, match=r"has 5 codes, but VisualCodebook.codes is 4; set it to 5"):
        made(tmp_path, path=str(tmp_path / "book.npz"), codes=4)


def test_the_error_falls_with_the_number_of_codes(tmp_path):
    errors = [made(tmp_path / str(codes), codes=codes)[1] for codes in (2, 8, 32)]
    assert errors[0]["error_of_mean"] > errors[0]["error"] > errors[1]["error"] > errors[2]["error"] > 0


def test_one_picture_at_a_time_is_in_memory():
    taken: list[weakref.ref] = []

    def pictures():
        for seed in range(8):
            picture = np.float32(np.random.default_rng(seed).uniform(-1, 1, (24, 24, 3)))
            taken.append(weakref.ref(picture))
            yield picture
            del picture
            assert sum(one() is not None for one in taken) <= 1  # that of the loop in `sample`

    rows, scales = executor.sample(pictures(), 8, 8, 20, seed=0)
    assert rows.shape == (20, DIM)
    assert scales.shape == (20,)


def test_a_bad_file_is_refused_before_pictures_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(executor, "choose", lambda *_: pytest.fail("pictures were read"))
    (tmp_path / "book.npz").write_bytes(pickle.dumps([1]))
    with pytest.raises(CodebookError, match="a pickle is never loaded"):
        made(tmp_path, path=str(tmp_path / "book.npz"))


def test_fewer_distinct_patches_than_codes_are_told_and_work(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(executor.logging, "warning", lambda text, *values: told.append(text % values))
    content, facts = made(tmp_path, codes=4000)
    assert facts["codes"] < 4000
    assert facts["error"] < 1e-9
    assert f"{facts['codes']} distinct patches give {facts['codes']} codes, where VisualCodebook.codes" in told[0]
    (tmp_path / "book.npz").write_bytes(content)
    assert len(visual_codes.read(str(tmp_path / "book.npz"), 8, 4000).centres) == facts["codes"]


def test_vectors_and_codes_equal_a_loop_in_numpy():
    rng = np.random.default_rng(0)
    pixels, centres = rng.uniform(-1, 1, (2, 26, 26, 3)), rng.normal(size=(7, DIM))
    vectors = visual_codes.described(tf.constant(pixels), 8).numpy()
    assert vectors.shape == (2, 9, DIM)  # the last two pixels are no whole patch
    for row, (top, left) in [(0, (0, 0)), (1, (0, 8)), (8, (16, 16))]:
        patch = pixels[1, top : top + 8, left : left + 8].ravel()
        expected = (patch - patch.mean()) / np.sqrt(patch.var() + 1e-4)
        np.testing.assert_allclose(vectors[1, row], [*expected, patch.mean() * np.sqrt(192)], rtol=1e-9)
    distances = np.square(vectors[:, :, None] - centres).sum(axis=-1)
    codes = visual_codes.nearest(tf.constant(vectors), tf.constant(centres))
    np.testing.assert_array_equal(codes, distances.argmin(axis=-1))


def test_a_picture_that_is_made_of_centres_is_rebuilt():
    rng = np.random.default_rng(0)
    pixels = np.float32(rng.uniform(-1, 1, (1, 24, 24, 3)))
    vectors = visual_codes.described(tf.constant(pixels), 8).numpy()[0]
    book = Codebook(vectors, np.float32([np.sqrt(p.var() + 1e-4) for p in patches(pixels[0])]), 8)
    codes = executor.assign(vectors, vectors).reshape(3, 3)
    np.testing.assert_array_equal(codes.ravel(), np.arange(9))
    np.testing.assert_allclose(visual_codes.drawn(codes, book), pixels[0], atol=1e-5)


def patches(picture: np.ndarray) -> list[np.ndarray]:
    return [picture[top : top + 8, left : left + 8] for top in (0, 8, 16) for left in (0, 8, 16)]


def with_nan() -> np.ndarray:
    centres = np.zeros((4, DIM), np.float32)
    centres[1, 2] = np.nan
    return centres


@pytest.mark.parametrize(
    ("centres", "patch", "message"),
    [
        (np.zeros((4, DIM)), 16, r"is of patches of 16 pixels, but ImageTower.patch is 8; name a"),
        (with_nan(), 8, r"has numbers that are not finite; name another as VisualCodebook.path"),
        (np.zeros((99, DIM)), 8, r"has 99 codes, but VisualCodebook.codes is 50; set it to 99"),
        (np.zeros((4, 7)), 8, r"has centres \[4, 7\] and scales \[4\], but must have \[K, 193\]"),
    ],
    ids=["patch", "nan", "codes", "shape"],
)
def test_a_codebook_that_does_not_fit_is_refused(tmp_path, centres, patch, message):
    path = tmp_path / "book.npz"
    path.write_bytes(visual_codes.as_bytes(Codebook(np.float32(centres), np.ones(len(centres), np.float32), patch)))
    with pytest.raises(CodebookError, match=message):
        visual_codes.read(str(path), 8, 50)


@pytest.mark.parametrize("content", [pickle.dumps([1]), b"", b"PK\x03\x04 cut short"], ids=["pickle", "empty", "cut"])
def test_what_is_no_npz_is_refused_and_never_unpickled(tmp_path, content):
    path = tmp_path / "book.npz"
    path.write_bytes(content)
    with pytest.raises(CodebookError, match=r"book.npz', which is no .npz with arrays .* a pickle is never"):
        visual_codes.read(str(path), 8, 50)


@pytest.mark.parametrize(
    "wrong",
    [{"centres": np.array([{}], object)}, {"centres": np.array(["a"])}, {"patch": np.array([8, 8])}],
    ids=["pickle", "text", "two_numbers"],
)
def test_an_array_of_another_kind_is_refused(tmp_path, wrong):
    path = tmp_path / "book.npz"
    np.savez(path, **{"centres": np.ones((1, DIM)), "scales": np.ones(1), "patch": 8, **wrong})
    with pytest.raises(CodebookError, match=r"which is no .npz with arrays .* a pickle is never loaded"):
        visual_codes.read(str(path), 8, 50)
