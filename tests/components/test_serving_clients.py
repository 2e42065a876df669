"""Over gRPC and REST, a served model gives the local model's answers, for the oddest pictures and texts."""

import numpy as np
import pytest
import requests
from PIL import Image

from components.serving_clients import GrpcClient, LocalClient, NoAnswer, Refused, RestClient
from tests.pictures import encode, shape_pairs
from tests.rest_server import rest_server
from tests.served import process_server

GRADIENT = Image.merge(
    "RGB", [Image.linear_gradient("L"), Image.linear_gradient("L").rotate(90), Image.new("L", (256, 256), 90)]
)


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # viewers rotate the picture by 90 degrees clockwise
    return encode(GRADIENT, "JPEG", exif=exif)


PICTURES = {
    "1 x 1": encode(GRADIENT.resize((1, 1))),
    "10,000 x 10": encode(GRADIENT.resize((10_000, 10))),
    "CMYK": encode(GRADIENT.convert("CMYK"), "JPEG"),
    "animated": encode(GRADIENT, "GIF", save_all=True, append_images=[GRADIENT.rotate(180)]),
    "rotated by EXIF": rotated(),
    "grey with alpha": encode(GRADIENT.convert("LA")),
    "16 bits": encode(Image.new("I;16", (30, 30), 4000)),
    "BMP": encode(GRADIENT, "BMP"),
}  # fmt: skip
TEXTS = {
    "empty": b"",
    "10,000 characters": b"a small red disc " * 600,
    "one word of 10,000": b"x" * 10_000,
    "emoji": "👩‍🚀 and 😀".encode(),
    "right to left": "קרש אדום קטן".encode(),
    "NUL": b"a red\0disc",
    "invalid UTF-8": b"\xff\xfe a red \xc3 disc",
    "blanks": b" \t\n ",
}
BROKEN = {
    "empty": b"",
    "WebP": encode(GRADIENT, "WEBP"),
    "TIFF": encode(GRADIENT, "TIFF"),
    "cut off": encode(GRADIENT, "JPEG")[:900],
    "text": b"no picture",
}
PLAIN = shape_pairs()[0][0]


@pytest.fixture(scope="module")
def local(exported):
    return LocalClient(exported)


@pytest.fixture(scope="module")
def clients(exported, local):
    with process_server(exported) as runner, rest_server(local) as url:
        yield {"gRPC": GrpcClient(runner.GetEndpoint()), "REST": RestClient(url)}


@pytest.fixture(scope="module", params=["gRPC", "REST"])
def served(request, clients):
    return clients[request.param]


def assert_same(served, local, signature, inputs):
    theirs, ours = served.predict(signature, inputs), local.predict(signature, inputs)
    assert theirs.keys() == ours.keys()
    for name in ours:
        assert theirs[name].shape == ours[name].shape
        np.testing.assert_allclose(theirs[name], ours[name], atol=1e-5)
    return theirs


@pytest.mark.parametrize("name", PICTURES)
def test_odd_pictures(served, local, name):
    answer = assert_same(served, local, "embed_image", {"image_bytes": [PLAIN, PICTURES[name]]})
    plain, odd = answer["image_embedding"]
    assert np.abs(plain - odd).max() > 1e-3  # control: else an answer that ignores the picture would pass


@pytest.mark.parametrize("name", TEXTS)
def test_odd_texts(served, local, name):
    answer = assert_same(served, local, "embed_text", {"text": [b"a large blue ring", TEXTS[name]]})
    plain, odd = answer["text_embedding"]
    assert np.abs(plain - odd).max() > 1e-3


def test_all_odd_inputs_in_one_request(served, local):
    answer = assert_same(
        served, local, "serving_default", {"image_bytes": list(PICTURES.values()), "labels": list(TEXTS.values())[:5]}
    )
    assert answer["probability"].shape == (len(PICTURES), 5)


def test_control_a_difference_of_2e_5_is_detected(local):
    class Off:
        def predict(self, signature, inputs):
            return {name: value + 2e-5 for name, value in local.predict(signature, inputs).items()}

    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_same(Off(), local, "embed_text", {"text": [b"a"]})


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_picture_is_named_and_the_next_request_is_answered(served, local, name):
    with pytest.raises(Refused, match="image_bytes: these rows") as caught:
        served.predict("embed_image", {"image_bytes": [PLAIN, BROKEN[name], PLAIN, BROKEN[name]]})
    assert caught.value.rows == [1, 3]
    assert "BMP: 1 3 of 4" in str(caught.value)
    assert_same(served, local, "embed_image", {"image_bytes": [PLAIN]})


def test_local_client_and_server_refuse_the_same_wrong_requests(clients, local):
    for client in (clients["gRPC"], local):
        assert client.predict("embed_text", {"text": []})["text_embedding"].shape[0] == 0
        with pytest.raises(Refused, match="no signature 'no_such'"):
            client.predict("no_such", {"text": [b"a"]})
        with pytest.raises(Refused, match="image_bytes"):
            client.predict("embed_image", {"text": [b"a"]})


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, '{"detail": "x"}', r"400, '\{\\?\"detail.*is that TensorFlow Serving\?"),
        (502, '"x"', "502, .*is that TensorFlow Serving"),
        (200, "[]", "200, .*is that TensorFlow Serving"),
        (502, "<html>", "is that the port for REST"),
    ],
)
def test_an_answer_of_another_kind_of_server_raises_no_answer(monkeypatch, status, body, message):
    client = RestClient("http://127.0.0.1:9")
    response = requests.Response()
    response.status_code, response._content = status, body.encode()
    monkeypatch.setattr(client._session, "post", lambda *_, **__: response)
    with pytest.raises(NoAnswer, match=message):
        client.predict("embed_text", {"text": [b"a"]})


def test_only_the_first_twenty_broken_rows_are_named(served):
    with pytest.raises(Refused) as caught:
        served.predict("embed_image", {"image_bytes": [b""] * 30})
    assert caught.value.rows == list(range(20))


def test_a_missing_server_and_a_missing_model_are_reported(clients):
    with pytest.raises(NoAnswer, match=r"127\.0\.0\.1:9 did not answer embed_text of model 'siglip': UNAVAILABLE"):
        GrpcClient("127.0.0.1:9").predict("embed_text", {"text": [b"a"]})
    with pytest.raises(NoAnswer, match=r"models/siglip:predict did not answer embed_text: .*refused"):
        RestClient("http://127.0.0.1:9").predict("embed_text", {"text": [b"a"]})
    with pytest.raises(NoAnswer, match="NOT_FOUND, no model 'other'; there is 'siglip'"):
        GrpcClient(clients["gRPC"]._address, "other").predict("embed_text", {"text": [b"a"]})
    url = clients["REST"]._url.split("/v1/")[0]
    with pytest.raises(NoAnswer, match="404, Servable not found"):
        RestClient(url, "other").predict("embed_text", {"text": [b"a"]})
