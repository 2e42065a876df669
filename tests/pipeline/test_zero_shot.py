"""Zero-shot answers about single pictures, from the functions and from the command."""

import io
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from components.serving_clients import LocalClient
from pipeline import zero_shot
from pipeline.publishing import versions
from tests.pictures import encode, shape_pairs
from tests.pipeline.conftest import ROOT
from tests.rest_server import rest_server
from tests.served import thread_server


@pytest.fixture
def picture(tmp_path) -> str:
    path = tmp_path / "shape.png"
    path.write_bytes(shape_pairs()[0][0])
    return str(path)


def test_newest_complete_version_is_taken(exported, tmp_path):
    assert versions.newest(exported) == exported
    assert versions.newest(str(pathlib.Path(exported).parent)) == exported
    (tmp_path / "9").mkdir()  # an unfinished push: no saved_model.pb yet
    with pytest.raises(ValueError, match="holds no SavedModel; run `make quickstart`"):
        versions.newest(str(tmp_path))
    (tmp_path / "config.json").touch()
    with pytest.raises(ValueError, match=r"SavedModel; make one: `python -m models.pretrained convert --from=/.* --to"):
        versions.newest(str(tmp_path))
    with pytest.raises(ValueError, match="is one version; name the folder above it"):
        versions.read(exported)


def test_probabilities_by_picture_and_label(exported, picture):
    answers = zero_shot.ask(LocalClient(exported), [picture], ["a red disc", "a blue ring"])
    assert set(answers[picture]) == {"a red disc", "a blue ring"}
    assert all(0 <= probability <= 1 for probability in answers[picture].values())


def test_picture_is_prepared_as_in_training(exported, tmp_path):
    """The model reads a BMP's palette as grey, transparent pixels of a GIF as black, and ignores EXIF orientation."""
    shape = Image.open(io.BytesIO(shape_pairs()[0][0])).convert("RGB").quantize(8)
    see_through = Image.new("P", shape.size, 0)
    exif = Image.Exif()
    exif[0x0112] = 6  # viewers turn it a quarter clockwise
    side = Image.linear_gradient("L").convert("RGB")
    pairs = {
        "palette": (encode(shape, "BMP"), encode(shape.convert("RGB"))),
        "transparent": (encode(see_through, "GIF", transparency=0), encode(Image.new("RGB", shape.size, "white"))),
        "turned": (encode(side, "PNG", exif=exif), encode(side.transpose(Image.Transpose.ROTATE_270))),
    }
    client, labels = LocalClient(exported), ["a red disc", "a blue ring"]
    for name, (given, meant) in pairs.items():
        paths = [tmp_path / f"{name}-{kind}" for kind in ("given", "meant")]
        for path, content in zip(paths, (given, meant), strict=True):
            path.write_bytes(content)
        answered = zero_shot.ask(client, [str(path) for path in paths], labels)
        shares = [[answered[str(path)][label] for label in labels] for path in paths]
        assert shares[0] == pytest.approx(shares[1], abs=1e-6), name
        raw = client.predict("embed_image", {"image_bytes": [given, meant]})["image_embedding"]
        assert np.abs(raw[0] - raw[1]).max() > 1e-3, f"control: {name} needs no preparation"


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (["missing.png"], ["a"], "--image=missing.png cannot be read: No such file"),
        ([__file__], ["a"], "test_zero_shot.py: not a picture in JPEG, PNG, GIF, BMP, WebP, TIFF or PPM"),
        (["x.png", "x.png"], ["a"], "--image has a picture twice: x.png, x.png; name each once"),
        (["x.png"], ["a", "a"], "--labels has a label twice: .*; name each once"),
        ([], ["a"], "add --image FILE"),
        (["x.png"], ["a", ""], "empty label"),
    ],
)
def test_bad_arguments_are_reported_with_the_fix(exported, images, labels, message):
    with pytest.raises(ValueError, match=message):
        zero_shot.ask(LocalClient(exported), images, labels)


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ((None, None, None), "name one model to ask"),
        (("served", "localhost:8500", None), "name one model to ask"),
        ((None, "localhost", None), "--server=localhost must be HOST:PORT"),
        ((None, "http://localhost:8500", None), "must be HOST:PORT, such as localhost:8500; --rest takes a URL"),
        ((None, None, "localhost:8501"), "must be a URL, such as http://localhost:8501; --server takes HOST:PORT"),
    ],
)
def test_bad_model_flags_are_reported(places, message):
    with pytest.raises(ValueError, match=message):
        zero_shot.make_client(*places)


def test_json_is_refused_with_a_folder(tmp_path):
    asked = ["--labels=cat", "--json", f"--folder={tmp_path}", f"--output={tmp_path / 'answers.jsonl'}"]
    process = start("--server=localhost:1", *asked)
    assert "error: --json is for --image" in process.communicate()[1]
    assert process.returncode == 1


def test_a_model_in_a_bucket_is_refused_with_the_command_that_copies_it():
    with pytest.raises(ValueError, match="--model_dir=gs://b/serving is not a folder of this machine; copy it: gcloud"):
        zero_shot.make_client("gs://b/serving", None, None)


def test_command_gives_one_answer_in_process_over_grpc_and_over_rest(exported, picture):
    """The three commands run in parallel, because each imports TensorFlow."""
    asked = [f"--image={picture}", "--labels=cat, dog", "--json"]
    with thread_server(exported) as address, rest_server(LocalClient(exported)) as url:
        places = [f"--model_dir={exported}", f"--server={address}", f"--rest={url}"]
        commands = [start(place, *asked) for place in places]
        failing = start("--rest=http://127.0.0.1:9", *asked)
        texts = [command.communicate()[0] for command in commands]
    here, *served = [json.loads(text)[picture] for text in texts]
    assert set(here) == {"cat", "dog"}
    assert served == [pytest.approx(here, abs=1e-5)] * 2
    assert failing.communicate()[1].startswith("error: http://127.0.0.1:9/v1/models/siglip:predict did not answer")
    assert failing.returncode == 1


def start(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "pipeline.zero_shot", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
