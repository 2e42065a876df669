"""Two-stage retrieval of stored rows: each pair that `match` gets is the picture and the caption that it asks for."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from beam.records import ImageText
from components.metrics import reranking
from models import features
from models.inputs import tfrecords
from tests.models.training.shapes import write_shards

PICTURES, ROWS = 30, 60
NAMES = [f"{99 - number}" for number in range(PICTURES)]  # in the reverse order
SENT = 7


class Model:
    """Embeddings of chance, and a `match` that knows the pairs. Row r has the picture r % PICTURES."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        drawn = rng.normal(size=(PICTURES, 4)), rng.normal(size=(ROWS, 4))
        self.image, self.text = (np.float32(one / np.linalg.norm(one, axis=1, keepdims=True)) for one in drawn)
        self.largest = 0

    def call(self, signature: str, **inputs: tf.Tensor | Sequence[str] | Sequence[bytes]) -> dict[str, np.ndarray]:
        if signature == "evaluate":
            keys = tfrecords.parse(inputs["examples"], (features.KEY,))[features.KEY].numpy()
            rows = np.array([int(key) for key in keys])
            captions = np.array([f"caption {row}".encode() for row in rows])
            names = np.array([NAMES[row % PICTURES].encode() for row in rows])
            embeddings = {"image_embedding": self.image[rows % PICTURES], "text_embedding": self.text[rows]}
            return {**embeddings, "caption": captions, "picture": names}
        assert signature == "match"
        pairs = list(zip(inputs["image_bytes"], inputs["text"], strict=True))
        self.largest = max(self.largest, len(pairs))
        right = [int(image.split()[1]) == int(text.split()[1]) % PICTURES for image, text in pairs]
        return {"probability": np.float32(right)}


def test_recall_is_that_of_the_pairs_which_match_knows(tmp_path, monkeypatch):
    """Two captions a picture; batches smaller than the candidates of a query."""
    monkeypatch.setattr(reranking, "_BATCH", SENT)
    write_shards(
        tmp_path,
        1,
        [
            ImageText(str(row), f"picture {row % PICTURES}".encode(), f"caption {row}", "x:1", "test").to_example()
            for row in range(ROWS)
        ],
    )
    model = Model()
    none, eight, _, every = reranking.measure(model, str(tmp_path), ROWS, ROWS)
    assert model.largest == SENT
    scores, right = model.image @ model.text.T, np.arange(PICTURES)[:, None] == np.arange(ROWS) % PICTURES
    for way, of_way, wanted in (("image_to_text", scores, right), ("text_to_image", scores.T, right.T)):
        nearest = np.take_along_axis(wanted, np.argsort(-of_way, axis=1), axis=1)
        name = f"{way}_recall_at_1"
        assert none.recalls[name] == nearest[:, 0].mean() < 0.3
        assert eight.recalls[name] == nearest[:, :8].any(axis=1).mean() < 0.7
        assert every.recalls[name] == 1.0
