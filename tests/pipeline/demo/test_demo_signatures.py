"""The page of a model with further signatures: it lists them, shows heat maps, and searches by picture and words."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from beam import thumbnails
from pipeline.demo import collection, index
from pipeline.demo.model import MATCH, LoadedModel
from pipeline.demo.page import create
from tests.pipeline.demo.conftest import RULES, SHAPES

PICTURE = SHAPES[3][0]


@pytest.fixture(scope="module")
def one_tower(exported_one_tower) -> LoadedModel:
    return LoadedModel(exported_one_tower)


@pytest.fixture(scope="module")
def client(one_tower, folder):
    found, _ = index.build(collection.ImageFolder(folder), one_tower, RULES)
    return create(one_tower, "m", found, RULES, "127.0.0.1").test_client()


def post(client, place: str, **fields):
    return client.post(place, data={"image": (io.BytesIO(PICTURE), "shape.png"), **fields})


def test_the_page_lists_the_signatures_of_its_model_only(client, model, built):
    page = client.get("/").text
    assert "<code>embed_pair</code> (image_bytes, text to pair_embedding)" in page
    assert 'action="/locate"' in page
    plain = create(model, "m", built[0], RULES, "127.0.0.1").test_client()  # control
    assert "Further signatures" not in plain.get("/").text
    assert 'action="/locate"' not in plain.get("/").text
    assert "This model has no signature localize" in post(plain, "/locate", looked_for="a disc").text


def test_heat_is_drawn_on_the_picture(client, one_tower):
    shown = post(client, "/locate", looked_for="a red disc").text
    (encoded,) = re.findall(r'class="heat" src="data:image/png;base64,([^"]+)"', shown)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))), np.int32)
    assert pixels.shape == (224, 224, 3)
    heat = one_tower.heat(PICTURE, "a red disc")
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert (pixels[int((row + 0.5) * 224 / 3), int((column + 0.5) * 224 / 3)] == 255).all()  # the dot
    assert "Type what to look for" in post(client, "/locate", looked_for=" ").text


def test_pictures_with_captions_are_shown_with_them_on_two_axes(client, one_tower):
    assert 'id="scatter-title"' not in client.get("/").text  # pictures of a folder have no captions
    entries = [index.Entry(f"{i}", caption, "data:,") for i, (_, caption, _) in enumerate(SHAPES[:8])]
    known = index.Index(entries, one_tower.embed_images([picture for picture, _, _ in SHAPES[:8]]))
    page = create(one_tower, "m", known, RULES, "127.0.0.1").test_client().get("/").text
    assert re.search(r'id="scatter-title".*src="data:image/png;base64,', page, re.DOTALL)
    captions, embeddings = known.captioned(3)
    assert captions == [caption for _, caption, _ in SHAPES[:3]]
    assert embeddings.shape == (3, 32)


def test_search_ranks_found_pictures_again_by_match_in_batches(one_tower, folder, monkeypatch):
    found, _ = index.build(collection.ImageFolder(folder), one_tower, RULES)
    call, sizes = one_tower._model.call, []

    def with_match(signature: str, **asked: list[bytes]) -> dict[str, np.ndarray]:
        if signature != MATCH:
            return call(signature, **asked)
        assert asked["text"] == [b"a disc"] * len(asked["image_bytes"])
        sizes.append(len(asked["image_bytes"]))
        return {"probability": np.float32([len(one) for one in asked["image_bytes"]]) / 1e6}  # the largest file first

    monkeypatch.setattr(one_tower._model, "call", with_match)
    monkeypatch.setattr("pipeline.demo.model._BATCH", 4)
    nearest = found.search(one_tower.embed_text("a disc"), 9)
    largest = sorted((entry for entry, _ in nearest), key=lambda entry: -len(thumbnails.bytes_of(entry.thumbnail)))
    page = create(one_tower, "m", found, RULES, "127.0.0.1", rerank=9).test_client().post(
        "/search", data={"text": "a disc"}
    )  # fmt: skip
    assert re.findall(r'alt="([^"]+)"', page.text)[:9] == [entry.name for entry in largest]
    assert sizes == [4, 4, 1]


def test_search_by_picture_and_words_compares_their_common_embedding(client, one_tower, folder):
    shown = post(client, "/compose", changed="blue").text
    names = re.findall(r'alt="([^"]+\.PNG)"', shown)
    pictures = {name: image for name, _, image in collection.ImageFolder(folder) if name.endswith("PNG")}
    scores = one_tower.embed_images(list(pictures.values())) @ one_tower.embed_pair(PICTURE, "blue")
    assert names[0] == list(pictures)[int(scores.argmax())]
    assert "Type how the other picture differs" in post(client, "/compose", changed="").text
