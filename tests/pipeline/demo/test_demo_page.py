"""The page through its WSGI application, with an untrained model; test_demo_in_browser.py tests it in a browser."""

import io
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from pipeline import zero_shot
from pipeline.demo import collection, index
from pipeline.demo.page import create
from tests.pictures import encode
from tests.pipeline.conftest import ROOT
from tests.pipeline.demo.conftest import RULES, SHAPES

SCRIPT = "<script>alert(1)</script>"
NOT_COMPLETE = "shape.png: this is not a complete picture"


@pytest.fixture(scope="module")
def client(model, built):
    return create(model, "the model", built[0], RULES, "127.0.0.1").test_client()


def ask(client, image: bytes, labels: str, name: str = "shape.png"):
    return client.post("/ask", data={"image": (io.BytesIO(image), name), "labels": labels})


def problem(answer) -> str:
    """Returns the one problem that a page shows."""
    (told,) = re.findall(r'role="alert">(.*?)</p>', answer.text)
    assert "Traceback" not in answer.text
    return told


def test_bars_show_the_probabilities_of_zero_shot(client, exported, tmp_path):
    (tmp_path / "shape.png").write_bytes(SHAPES[3][0])
    labels = ["a red disc", "a blue ring", "a cross"]
    shape = str(tmp_path / "shape.png")
    expected = zero_shot.ask(zero_shot.make_client(exported, None, None), [shape], labels)[shape]
    page = ask(client, SHAPES[3][0], "a red disc, a blue ring\r\n\r\na cross,, a cross ,").text
    shown = re.findall(
        r'<span dir="auto">(.*?)</span> <b>(.*?)</b>\s*<svg aria-hidden="true"><rect width="(.*?)%"', page
    )
    assert [label for label, _, _ in shown] == sorted(labels, key=expected.get, reverse=True)
    for label, probability, width in shown:
        assert float(probability) == pytest.approx(expected[label], abs=1e-4)
        assert float(width) == pytest.approx(100 * expected[label], abs=0.01)


def test_search_equals_comparison_with_each_picture(client, model, folder):
    text = "a small red disc at the top"
    pictures = [
        (name, image) for name, _, image in collection.ImageFolder(folder) if name not in ("broken.jpg", "twice.png")
    ]
    similarity = model.embed_images([image for _, image in pictures]) @ model.embed_text(text)
    expected = [pictures[row][0] for row in np.argsort(-similarity)[:24]]
    page = client.post("/search", data={"text": text}).text
    assert re.findall(r'alt="(.*?)"><span', page) == expected
    assert f"{similarity.max():.3f}" in page
    assert f'value="{text}"' in page


def test_everything_shown_is_escaped(model, tmp_path):
    entry = index.Entry(f'{SCRIPT}"onerror="', SCRIPT, "data:,")
    found = index.Index([entry], np.ones((1, 32), np.float32))
    client = create(model, SCRIPT, found, RULES, "127.0.0.1").test_client()
    pages = [
        client.get("/"),
        ask(client, SHAPES[0][0], f"{SCRIPT}, </textarea>", SCRIPT),
        ask(client, b"broken", SCRIPT, SCRIPT),
        client.post("/search", data={"text": f'{SCRIPT}"onfocus="'}),
        client.get(f"/{SCRIPT}"),
        client.get("/", headers={"Host": SCRIPT}),
    ]
    assert [page.status_code for page in pages] == [200, 200, 400, 200, 404, 421]
    for page in pages:
        assert "alert(1)" in page.text or page.status_code == 404
        assert "<script>" not in page.text
        assert not re.search(r'"\s*on\w+="', page.text)
        assert page.text.count("</textarea>") == (page.status_code in (200, 400))


@pytest.mark.parametrize(
    ("image", "labels", "status", "message"),
    [
        (b"", "cat", 400, "shape.png: the picture has 0 bytes; choose another"),
        (
            b"no picture",
            "cat",
            400,
            f"{NOT_COMPLETE} in JPEG, PNG, GIF, BMP, WebP, TIFF or PPM",
        ),
        (SHAPES[0][0][:60], "cat", 400, NOT_COMPLETE),
        (encode(Image.new("RGB", (200, 100))), "cat", 400, "shape.png: 200 x 100 is more than 10000 pixels"),
        (bytes(1_000_001), "cat", 400, "shape.png: 1000001 bytes are more than 1000000; choose another"),
        (bytes(3_000_000), "cat", 413, "The picture is larger than the limit of 1 MB. Choose a smaller one."),
        (SHAPES[0][0], " ,\n, ", 400, "Type at least one label, such as: cat, dog."),
        (
            SHAPES[0][0],
            ",".join(map(str, range(101))),
            400,
            "101 labels are more than the limit of 100. Ask with fewer.",
        ),
    ],
)
def test_bad_questions_are_refused_with_a_reason(client, image, labels, status, message):
    answer = ask(client, image, labels)
    assert answer.status_code == status
    assert message in problem(answer)
    if status == 400:
        assert f">{labels}</textarea>" in answer.text


def test_missing_input_is_reported(client, model):
    assert problem(client.post("/ask", data={"labels": "cat"})) == "Choose a picture first."
    assert problem(client.post("/search", data={"text": " "})) == "Type what the pictures should show."
    assert client.get("/ask").status_code == 405
    without = create(model, "m", None, RULES, "127.0.0.1").test_client()
    assert "<code>--images FOLDER</code>" in without.get("/").text
    assert "Start the demo with --images" in problem(without.post("/search", data={"text": "cat"}))


@pytest.mark.parametrize("image_format", ["JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_pictures_of_other_formats_are_read(client, image_format):
    answer = ask(client, encode(Image.open(io.BytesIO(SHAPES[0][0])).convert("RGB"), image_format), "cat")
    assert (answer.status_code, answer.text.count("<rect")) == (200, 1)


def test_a_failure_shows_no_traceback(model, monkeypatch, capsys):
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(model, "embed_text", fail)
    monkeypatch.setenv("FLASK_DEBUG", "1")
    found = index.Index([index.Entry("a", "", "data:,")], np.ones((1, 32), np.float32))
    answer = create(model, "m", found, RULES, "h").test_client().post("/search", data={"text": "cat"})
    assert answer.status_code == 500
    assert problem(answer).startswith("The demo failed")
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # curl
        ({"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8000"}, 200),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "[::1]:8000", "Origin": "http://[::1]:8000"}, 200),
        ({"Host": "192.0.2.7:8000", "Origin": "http://192.0.2.7:8000"}, 200),
        ({"Host": "my-box:8000", "Origin": "http://my-box:8000"}, 200),  # the value of --host
        ({"Host": "evil.example:8000", "Origin": "http://evil.example:8000"}, 421),  # DNS rebinding
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "localhost.evil.example"}, 421),
        ({"Host": "["}, 421),
        ({"Host": ""}, 421),
        ({"Host": "localhost:8000", "Origin": "http://evil.example"}, 403),
        ({"Host": "localhost:8000", "Origin": "http://localhost:9000"}, 403),
        ({"Host": "localhost:8000", "Origin": "null"}, 403),
        ({"Host": "localhost:8000", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "localhost:8000", "Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_other_sites_are_refused(model, built, headers, status):
    client = create(model, "m", built[0], RULES, "my-box").test_client()
    answer = client.post("/search", data={"text": "cat"}, headers=headers)
    assert answer.status_code == status
    assert ('class="found"' in answer.text) == (status == 200)
    read = client.get("/", headers={name: value for name, value in headers.items() if name == "Host"})
    assert read.status_code == (421 if status == 421 else 200)


def test_page_loads_nothing_from_other_hosts(client):
    page = client.get("/")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    for text in (page.text, client.get("/static/page.css").text, client.get("/static/page.js").text):
        assert len(text) > 1000
        assert not re.search(r"https?://|url\(|@import|\sstyle=|\son\w+=", text)


def test_file_name_that_is_not_unicode_is_shown(model, tmp_path):
    (tmp_path / "\udcff.png").write_bytes(SHAPES[0][0])
    found, _ = index.build(collection.ImageFolder(str(tmp_path)), model, RULES)
    client = create(model, "m", found, RULES, "127.0.0.1").test_client()
    assert "\ufffd.png" in client.post("/search", data={"text": "cat"}).text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model_dir=none"], "error: --model_dir=none holds no SavedModel"),
        (["--model_dir={model}", "--host=192.0.2.7"], "error: --host=192.0.2.7 --port=8000 cannot be listened on"),
        (
            ["--model_dir=x", "--images=a", "--examples=b"],
            "--images and --examples exclude each other; name one",
        ),
        (["--model_dir=x", "--index_dir=a"], "--index_dir keeps an index of pictures; add --images or --examples"),
        (["--model_dir=x", "--port=70000"], "flag --port=70000"),
    ],
)
def test_bad_arguments_are_reported_at_once(exported, arguments, message):
    command = [sys.executable, "-m", "pipeline.demo", *(argument.format(model=exported) for argument in arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_rerank_without_match_is_refused(exported):
    """The signatures are known only after TensorFlow and the model are loaded."""
    command = [sys.executable, "-m", "pipeline.demo", f"--model_dir={exported}", "--port=0", "--rerank=8"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode != 0
    assert f"error: --rerank=8 needs the signature match, which {exported} does not have; name a" in done.stderr
    assert "Traceback" not in done.stderr
