"""Converted checkpoints give the same outputs as KerasHub (run in this environment) and Hugging Face (a fixture)."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from models import pretrained
from models.inputs import images
from models.inputs.tokenizer import Tokenizer
from models.pretrained import Checkpoint
from tests.models.pretrained import mix_ups
from tests.models.pretrained.tiny import FIXTURE, answers

NEAR = 1e-5


@pytest.fixture(scope="module")
def hugging_face() -> Checkpoint:
    return pretrained.read(str(FIXTURE))


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    with np.load(FIXTURE / "answers.npz") as file:
        return dict(file)


def differences(loaded: Checkpoint, expected: dict[str, np.ndarray]) -> dict[str, float]:
    """Largest absolute difference of each output."""
    mine = answers(loaded, expected["images"], expected["token_ids"])
    columns = expected["logits"].shape[1]
    mine["logits"] = mine["logits"][:, :columns]
    return {name: float(np.abs(value - expected[name]).max()) for name, value in mine.items()}


def test_embeddings_and_logits_equal_keras_hubs(tmp_path):
    weights, expected = tmp_path / "weights.npz", tmp_path / "answers.npz"
    script = pathlib.Path(__file__).parent / "keras_hub_siglip.py"
    environment = {key: value for key, value in os.environ.items() if key != "TF_USE_LEGACY_KERAS"}
    subprocess.run([sys.executable, str(script), str(weights), str(expected)], check=True, env=environment)
    loaded = pretrained.read(str(weights))
    assert (loaded.config.image_tower.width, loaded.config.text_tower.width) == (48, 32)
    with np.load(expected) as file:
        differ = differences(loaded, dict(file))
    assert max(differ.values()) < NEAR, differ


def test_embeddings_and_logits_equal_hugging_faces(hugging_face, expected):
    differ = differences(hugging_face, expected)
    assert max(differ.values()) < NEAR, differ


@pytest.mark.parametrize("mix_up", mix_ups.SIGLIP.values(), ids=mix_ups.SIGLIP)
def test_comparison_detects_mix_ups(hugging_face, expected, mix_up):
    mixed_up = mix_ups.planted(hugging_face, mix_up)
    assert max(differences(mixed_up, expected).values()) > 5 * NEAR


def test_comparison_detects_another_activation(hugging_face, expected):
    image, text = hugging_face.config.image_tower, hugging_face.config.text_tower
    assert image.cut_to_patches
    assert image.size % image.patch == 3
    exact = dataclasses.replace(hugging_face.config, text_tower=dataclasses.replace(text, activation="gelu"))
    assert differences(dataclasses.replace(hugging_face, config=exact), expected)["text_embedding"] > 5 * NEAR


def test_token_ids_equal_hugging_faces(hugging_face, expected):
    tokenizer = Tokenizer(str(FIXTURE / "spiece.model"), hugging_face.config.text_tower)
    texts = [str(text) for text in expected["texts"]]
    np.testing.assert_array_equal(tokenizer.served(tf.constant(texts)).numpy(), expected["token_ids"])
    assert (tokenizer(tf.constant(texts)).numpy() != expected["token_ids"]).any()  # with punctuation


@pytest.mark.parametrize(("ours", "largest", "mean"), [("bilinear", 1, 0.2), ("bicubic", 3, 0.2)])
def test_pixels_are_close_to_hugging_faces_with_the_same_interpolation(hugging_face, expected, ours, largest, mean):
    tower = dataclasses.replace(hugging_face.config.image_tower, interpolation=ours)
    pixels = images.to_unit_range(images.decode_and_resize(tf.constant(expected["png"].tobytes()), tower)).numpy()
    levels = np.abs(pixels - expected[f"png_{ours}"]) * 127.5
    assert levels.max() < largest + 0.01
    assert levels.mean() < mean
    other = expected["png_bicubic" if ours == "bilinear" else "png_bilinear"]
    assert np.abs(pixels - other).max() * 127.5 > 10


def test_processor_of_the_fixture_is_bicubic(hugging_face):
    assert hugging_face.config.image_tower.interpolation == "bicubic"
