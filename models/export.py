"""The SavedModel: raw bytes and text in, embeddings and probabilities out; all preprocessing is in the graph."""

import os

import tensorflow as tf

from models import data, features, images
from models.objectives import Objective
from models.tokenizer import Tokenizer

GIN_FILE = "config.gin"


class ServedModel(tf.Module):
    """What a server, TFMA and our own tools call.

    | signature       | in                                      | out                                              |
    |-----------------|-----------------------------------------|--------------------------------------------------|
    | embed_image     | image_bytes: string [N]                 | image_embedding: float32 [N, D], unit norm       |
    | embed_text      | text: string [N]                        | text_embedding: float32 [N, D], unit norm        |
    | serving_default | image_bytes: string [N], labels: string | probability, logit: float32 [N, K]               |
    |                 | [K]                                     |                                                  |
    | evaluate        | examples: string [N], tf.Example        | both embeddings, the class name's embedding, and |
    |                 |                                         | caption and class name as they are stored, and   |
    |                 |                                         | picture, the same for rows of one picture        |
    """

    def __init__(self, objective: Objective, tokenizer: Tokenizer) -> None:
        super().__init__(name="siglip_tfx")
        self.objective = objective
        self.tokenizer = tokenizer

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def embed_image(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image_embedding": self._embed_image(image_bytes)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def embed_text(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"text_embedding": self._embed_text(self.tokenizer.served(text))}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="image_bytes"),
            tf.TensorSpec([None], tf.string, name="labels"),
        ]
    )
    def zero_shot(self, image_bytes: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        logit = self.objective.logits(self._embed_image(image_bytes), self._embed_text(self.tokenizer.served(labels)))
        return {"probability": tf.sigmoid(logit), "logit": logit}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def evaluate(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        row = data.parse(examples, (features.IMAGE, features.CAPTION, features.CLASS_NAME))
        return {
            "image_embedding": self._embed_image(row[features.IMAGE]),
            "text_embedding": self._embed_text(self.tokenizer(row[features.CAPTION])),
            "class_embedding": self._embed_text(self.tokenizer.served(row[features.CLASS_NAME])),
            "caption": row[features.CAPTION],
            "class_name": row[features.CLASS_NAME],
            "picture": data.parse_pictures(examples),
        }

    def _embed_image(self, image_bytes: tf.Tensor) -> tf.Tensor:
        return self.objective.embed_image(images.decode_batch(image_bytes, self.objective.config.image_input))

    def _embed_text(self, token_ids: tf.Tensor) -> tf.Tensor:
        return self.objective.embed_text(token_ids)


def save(objective: Objective, tokenizer: Tokenizer, gin_text: str, path: str) -> None:
    """Writes the SavedModel to `path`, whole or not at all; the operative gin lies in assets.extra/config.gin."""
    served = ServedModel(objective, tokenizer)
    unfinished = path.rstrip("/") + ".unfinished"
    if tf.io.gfile.exists(unfinished):
        tf.io.gfile.rmtree(unfinished)
    tf.saved_model.save(
        served,
        unfinished,
        signatures={
            "embed_image": served.embed_image,
            "embed_text": served.embed_text,
            "serving_default": served.zero_shot,
            "evaluate": served.evaluate,
        },
    )
    extra = os.path.join(unfinished, "assets.extra")
    tf.io.gfile.makedirs(extra)
    with tf.io.gfile.GFile(os.path.join(extra, GIN_FILE), "w") as file:
        file.write(gin_text)
    tf.io.gfile.rename(unfinished, path, overwrite=True)
