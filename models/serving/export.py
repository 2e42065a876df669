"""The SavedModel: raw bytes and text in, embeddings and probabilities out; all preprocessing is in the graph."""

import contextlib
import json
import os
from collections.abc import Callable, Mapping

import tensorflow as tf

from models import features
from models.files import WholeFolder, write_text
from models.inputs import images, tfrecords
from models.inputs.tokenizer import Tokenizer
from models.objectives import Objective
from models.serving.compression import CompressedWeights
from models.serving.label_sets import LabelSet, widest

EXTRA, GIN_FILE, LABELS_FOLDER = "assets.extra", "config.gin", "labels"
CLASSIFY = "classify_"
Signatures = dict[str, Callable[..., dict[str, tf.Tensor]]]


class ServedModel(tf.Module):
    """What a server, TFMA and our own tools call.

    | signature       | in                                      | out                                              |
    |-----------------|-----------------------------------------|--------------------------------------------------|
    | embed_image     | image_bytes: string [N]                 | image_embedding: float32 [N, D], unit norm       |
    | embed_text      | text: string [N]                        | text_embedding: float32 [N, D], unit norm        |
    | serving_default | image_bytes: string [N], labels: string | probability, logit: float32 [N, K]               |
    |                 | [K]                                     |                                                  |
    | classify_NAME   | image_bytes: string [N]                 | the same for the K labels of the set NAME, whose |
    |                 |                                         | texts no tower reads any more                    |
    | evaluate        | examples: string [N], tf.Example        | what the metrics need, see `evaluate`            |
    """

    def __init__(
        self, objective: Objective, tokenizer: Tokenizer, label_sets: Mapping[str, LabelSet], weights: str
    ) -> None:
        super().__init__(name="siglip_tfx")
        self.tokenizer = tokenizer
        self._label_sets = dict(label_sets)
        names = [(name, label) for name, one in label_sets.items() for label in one.labels]
        if names:
            keys = [f"{name}\0{label}".encode() for name, label in names]
            index = [i for one in label_sets.values() for i in range(len(one.labels))]
            pairs = tf.lookup.KeyValueTensorInitializer(keys, tf.constant(index, tf.int32))
            self._class_index = tf.lookup.StaticHashTable(pairs, -1)
        self._read: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
        if weights == "float32":
            self.objective = objective
        else:
            self.weights = CompressedWeights(objective, weights)
            self._read = self.weights.in_place
        self._objective = lambda: objective  # not tracked: compressed weights are saved in its variables' place

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
        return self._probabilities(self._embed_image(image_bytes), self._embed_text(self.tokenizer.served(labels)))

    def classify(self, name: str) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
        """The signature that chooses among the labels of one set."""

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def classify(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            return self._probabilities(self._embed_image(image_bytes), tf.constant(self._label_sets[name].embedding))

        return classify

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def evaluate(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Rows of evaluation sets -> what `models.evaluation` compares, for each row.

        Embeddings; caption; picture, the same for rows of one; evaluation_set; class_similarity, float32 [N, K], with
        every label of the row's set, -inf beyond; class_index, int32 [N], -1 for none; logit_scale and logit_bias, of
        logit = scale * similarity + bias. A picture in several rows of a batch is decoded and embedded once.
        """
        named = (features.IMAGE, features.CAPTION, features.CLASS_NAME, features.EVALUATION_SET)
        row = tfrecords.parse(examples, named)
        own = tf.fill(tf.shape(examples), features.OWN_SET)
        evaluation_set = tf.where(row[features.EVALUATION_SET] == "", own, row[features.EVALUATION_SET])
        picture, place = tf.unique(row[features.IMAGE])
        image = tf.gather(self._embed_image(picture), place)
        similarity, index = self._among_classes(image, evaluation_set, row[features.CLASS_NAME])
        unit = tf.one_hot([0], image.shape[-1])
        apart = self._objective().logits(unit, tf.concat([unit, -unit], axis=0))
        scale, bias = (apart[0, 0] - apart[0, 1]) / 2, (apart[0, 0] + apart[0, 1]) / 2
        return {
            "image_embedding": image,
            "text_embedding": self._embed_text(self.tokenizer(row[features.CAPTION])),
            "caption": row[features.CAPTION],
            "picture": tfrecords.parse_pictures(examples),
            "evaluation_set": evaluation_set,
            "class_similarity": similarity,
            "class_index": index,
            "logit_scale": tf.fill(tf.shape(index), scale),
            "logit_bias": tf.fill(tf.shape(index), bias),
        }

    def signatures(self) -> Signatures:
        """All of them, by name."""
        return {
            "embed_image": self.embed_image,
            "embed_text": self.embed_text,
            "serving_default": self.zero_shot,
            "evaluate": self.evaluate,
            **{CLASSIFY + name: self.classify(name) for name in self._label_sets},
        }

    def _among_classes(
        self, image: tf.Tensor, evaluation_set: tf.Tensor, class_name: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        width = widest(self._label_sets)
        similarity = tf.fill([tf.shape(image)[0], width], -float("inf"))
        if not self._label_sets:
            return similarity, tf.fill(tf.shape(class_name), -1)
        for name, one in self._label_sets.items():
            padding = [[0, 0], [0, width - len(one.labels)]]
            own = tf.pad(image @ tf.transpose(tf.constant(one.embedding)), padding, constant_values=-float("inf"))
            similarity = tf.where((evaluation_set == name)[:, None], own, similarity)
        return similarity, self._class_index.lookup(tf.strings.join([evaluation_set, class_name], separator="\0"))

    def _probabilities(self, image: tf.Tensor, text: tf.Tensor) -> dict[str, tf.Tensor]:
        logit = self._objective().logits(image, text)
        return {"probability": tf.sigmoid(logit), "logit": logit}

    def _embed_image(self, image_bytes: tf.Tensor) -> tf.Tensor:
        with self._read():
            pixels = images.decode_batch(image_bytes, self._objective().config.image_input)
            return self._objective().embed_image(pixels)

    def _embed_text(self, token_ids: tf.Tensor) -> tf.Tensor:
        with self._read():
            return self._objective().embed_text(token_ids)


def folder_bytes(folder: str) -> int:
    """The size of all files below a folder."""
    walked = tf.io.gfile.walk(folder)
    return sum(tf.io.gfile.stat(os.path.join(parent, name)).length for parent, _, names in walked for name in names)


def label_counts(path: str) -> dict[str, int]:
    """{name: labels} of the label sets that the SavedModel in `path` chooses among."""
    counts = {}
    for file_path in sorted(tf.io.gfile.glob(os.path.join(path, EXTRA, LABELS_FOLDER, "*.json"))):
        with tf.io.gfile.GFile(file_path) as file:
            counts[os.path.basename(file_path).removesuffix(".json")] = len(json.load(file)["labels"])
    return counts


def save(
    objective: Objective,
    tokenizer: Tokenizer,
    gin_text: str,
    path: str,
    label_sets: Mapping[str, LabelSet] | None = None,
    weights: str = "float32",
) -> None:
    """Writes the SavedModel to `path`, whole or not at all.

    assets.extra/config.gin has the operative gin, and assets.extra/labels/NAME.json each label set with its embeddings.

    Args:
      objective: embeds.
      tokenizer: makes token ids.
      gin_text: what describes the objective.
      path: a folder.
      label_sets: those that signatures choose among, and that the rows of an evaluation set of this name are held to.
      weights: one of compression.DTYPES.
    """
    label_sets = label_sets or {}
    served = ServedModel(objective, tokenizer, label_sets, weights)
    extra = {GIN_FILE: gin_text} | {f"{LABELS_FOLDER}/{name}.json": one.to_json() for name, one in label_sets.items()}
    with WholeFolder(path) as unfinished:
        tf.saved_model.save(served, unfinished, signatures=served.signatures())
        for name, text in extra.items():
            write_text(os.path.join(unfinished, EXTRA, name), text)
