"""transformers 4 and 5 read what we write, and we read what they write; each version runs in an environment of its own.

`uv` makes the environments. They have no torch, which is large, so the peers give tokens and pixels. If the variable
TRANSFORMERS_PEERS names folders with torch, such as "4=/tmp/hf4,5=/tmp/hf5", the test compares the logits too.
"""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from models import pretrained
from models.inputs import images
from models.inputs.tokenizer import Tokenizer
from tests.models.pretrained.tiny import FIXTURE, answers, with_plain_bpe

ROOT = pathlib.Path(__file__).parents[3]
PEER = pathlib.Path(__file__).parent / "transformers_peer.py"
VERSIONS = {"4": "4.57.6", "5": "5.24.0"}
TEXTS = [
    "A photo of a cat.",
    "golden_retriever",
    "TWO red rings, one blue disc!",
    "",
    "   don't  stop\n\tnow -- (it's [only] {a} test): e-mail@example.org ",
    "Größe, ÀÉÎ naïve; ΕΛΛΆΔΑ; İstanbul",
    "a photo of a photo of a photo of a photo of a photo of a photo of a photo of a photo of a cat",
    "日本 🦊 ½ ﬁne",
    "t-shirt\u00a0and\u3000blanks\u2009here",
    "snake_case/path\\to & 50% of #1",
]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=VERSIONS)
def peer(request, tmp_path_factory) -> tuple[str, pathlib.Path]:
    """The major version of transformers, and the interpreter of its environment."""
    given = dict(one.split("=") for one in os.environ.get("TRANSFORMERS_PEERS", "").split(",") if one)
    if request.param in given:
        return request.param, pathlib.Path(given[request.param]) / "bin" / "python"
    made = tmp_path_factory.mktemp(f"transformers{request.param}") / "venv"
    uv = ROOT / ".venv" / "bin" / "uv"
    subprocess.run([uv, "venv", "--quiet", "--python", ">=3.11,<3.14", made], check=True)
    packages = [f"transformers=={VERSIONS[request.param]}", "sentencepiece", "protobuf", "pillow", "numpy"]
    python = made / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *packages], check=True)
    return request.param, python


CHECKPOINTS = {
    "SigLIP, bilinear": lambda: changed(pretrained.read(str(FIXTURE)), interpolation="bilinear"),
    "SigLIP, bicubic": lambda: pretrained.read(str(FIXTURE)),
    "SigLIP 2": lambda: with_plain_bpe(changed(pretrained.read(str(FIXTURE)), interpolation="bilinear")),
}


def changed(checkpoint: pretrained.Checkpoint, **image: str) -> pretrained.Checkpoint:
    tower = dataclasses.replace(checkpoint.config.image_tower, **image)
    return dataclasses.replace(checkpoint, config=dataclasses.replace(checkpoint.config, image_tower=tower))


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a version of transformers made of a folder that we wrote.

    Attributes:
      version: the major version.
      checkpoint: what we wrote, to folder/ours.
      folder: it also has folder/saved, which the peer saved, and folder/vocabulary.model.
      found: the peer's tokens, pixels and, with torch, logits.
    """

    version: str
    checkpoint: pretrained.Checkpoint
    folder: pathlib.Path
    found: dict[str, np.ndarray]


@pytest.fixture(scope="module", params=CHECKPOINTS)
def asked(request, peer, tmp_path_factory) -> Asked:
    version, python = peer
    checkpoint, folder = CHECKPOINTS[request.param](), tmp_path_factory.mktemp("asked")
    pretrained.write(checkpoint, str(folder / "ours"), "hugging_face")
    (folder / "vocabulary.model").write_bytes(checkpoint.vocabulary)
    with np.load(FIXTURE / "answers.npz") as file:
        (folder / "picture.png").write_bytes(file["png"].tobytes())
    (folder / "texts.json").write_text(json.dumps(TEXTS))
    names = ("ours", "picture.png", "texts.json", "answers.npz", "saved")
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run([python, PEER, *(folder / name for name in names)], check=True, env=offline)
    with np.load(folder / "answers.npz") as file:
        return Asked(version, checkpoint, folder, dict(file))


def test_each_version_prepares_input_like_the_folder_we_wrote(asked, record_property):
    checkpoint, found = asked.checkpoint, asked.found
    assert found["length"] == checkpoint.config.text_tower.length
    tokenizer = Tokenizer(str(asked.folder / "vocabulary.model"), checkpoint.config.text_tower)
    ids = tokenizer.served(tf.constant(TEXTS)).numpy()
    np.testing.assert_array_equal(ids, found["token_ids"])
    tower = checkpoint.config.image_tower
    pixels = images.decode_and_resize(tf.constant((asked.folder / "picture.png").read_bytes()), tower)
    levels = np.abs(images.to_unit_range(pixels).numpy() - found["pixels"]) * 127.5
    assert levels.max() < {"bilinear": 1.01, "bicubic": 3.01}[tower.interpolation]
    record_property("logits_compared", "logits" in found)
    if "logits" in found:
        print(f"transformers {asked.version}: logits compared")
        mine = answers(checkpoint, found["pixels"][None], found["token_ids"])
        for name, value in mine.items():
            np.testing.assert_allclose(value, found[name], atol=1e-4 if name == "logits" else 1e-5)


def test_folder_that_each_version_saves_is_read_with_the_same_settings(asked):
    saved, checkpoint = asked.folder / "saved", asked.checkpoint
    assert (saved / "preprocessor_config.json").exists() == (asked.version == "4")
    assert (saved / "processor_config.json").exists() == (asked.version == "5")
    shutil.copy(asked.folder / "ours" / "model.safetensors", saved)
    again = pretrained.read(str(saved), str(asked.folder / "vocabulary.model"))
    assert again.config == checkpoint.config
    assert not again.notes
    pretrained.write(again, str(asked.folder / "twice"), "hugging_face")
    for file in (asked.folder / "ours").iterdir():
        assert (asked.folder / "twice" / file.name).read_bytes() == file.read_bytes(), file.name
