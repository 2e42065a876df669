"""The SavedModel: raw bytes and text in, embeddings and probabilities out; all preprocessing is in the graph."""

import contextlib
import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from models import features
from models.files import WholeFolder, write_text
from models.inputs import images, tfrecords
from models.inputs.tokenizer import Tokenizer
from models.objectives import Objective
from models.objectives.signatures import IMAGE_BYTES
from models.objectives.training_only import exported_variables
from models.serving import contract, further, keywords, pointing
from models.serving.compression import CompressedWeights
from models.serving.label_sets import LabelSet, widest

EXTRA, GIN_FILE, LABELS_FOLDER = "assets.extra", "config.gin", "labels"
CLASSIFY = contract.CLASSIFY
Signatures = dict[str, Callable[..., dict[str, tf.Tensor]]]


class ServedModel(tf.Module):
    """The signatures that a server, TFMA and this project's tools call.

    | signature       | in                                      | out                                              |
    |-----------------|-----------------------------------------|--------------------------------------------------|
    | embed_image     | image_bytes: string [N]                 | image_embedding: float32 [N, D], unit norm       |
    | embed_text      | text: string [N]                        | text_embedding: float32 [N, D], unit norm        |
    | serving_default | image_bytes: string [N], labels: string | probability, logit: float32 [N, K]               |
    |                 | [K]                                     |                                                  |
    | classify_NAME   | image_bytes: string [N]                 | the same for the K labels of the set NAME, whose |
    |                 |                                         | embeddings are stored                            |
    | evaluate        | examples: string [N], tf.Example        | the inputs of the metrics, see `evaluate`        |

    Objectives may add more (`Objective.signatures`).
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
        if weights == "float32" and not objective.training_only.parts:
            self.objective = objective
        elif weights == "float32":
            self.exported = exported_variables(objective)  # Keras would save all variables of the objective
        else:
            self.weights = CompressedWeights(objective, weights)
            self._read = self.weights.in_place
        size, length = objective.config.image_input.size, objective.config.text_input.length
        self._signatures = dict(objective.signatures())
        further.require_free(self._signatures, objective)
        self._further = {name: further.traced(one, size, length, self._read) for name, one in self._signatures.items()}
        # Each tower is traced and stored once for all signatures of the table above.
        pictures, token_ids = tf.TensorSpec([None], tf.string), tf.TensorSpec([None, length], tf.int32)
        self._embed_image = tf.function(self._image_tower, input_signature=[pictures], autograph=False)
        self._embed_text = tf.function(self._text_tower, input_signature=[token_ids], autograph=False)
        self._traced = functools.cache(self.signatures)  # so that `call` traces each signature once
        self._objective = lambda: objective  # untracked: with compression, its own variables must not be saved

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")], autograph=False)
    def embed_image(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image_embedding": self._embed_image(image_bytes)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False)
    def embed_text(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"text_embedding": self._embed_text(self.tokenizer.served(text))}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="image_bytes"),
            tf.TensorSpec([None], tf.string, name="labels"),
        ],
        autograph=False,
    )
    def zero_shot(self, image_bytes: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._probabilities(self._embed_image(image_bytes), self._embed_text(self.tokenizer.served(labels)))

    def classify(self, name: str) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
        """The signature that scores the labels of one set."""

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")], autograph=False)
        def classify(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
            return self._probabilities(self._embed_image(image_bytes), tf.constant(self._label_sets[name].embedding))

        return classify

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")], autograph=False)
    def evaluate(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Rows of evaluation sets -> the inputs of `models.evaluation`, for each row.

        image_embedding and text_embedding; caption; picture, the picture id; evaluation_set; class_similarity, float32
        [N, K], with each label of the row's set, then -inf; class_indices, int32 [N, M], the right labels of each row,
        then -1, where M is their largest number in the batch; class_index, int32 [N], the first of them; logit_scale
        and logit_bias, where logit = scale * similarity + bias; pointed, place and box, see `models.serving.pointing`;
        of a model with the signature `keywords`, keywords and words, see `models.serving.keywords`. If several rows of
        a batch have the same picture, it is decoded and embedded once.
        """
        row = tfrecords.parse(examples, (features.IMAGE, features.CAPTION, features.EVALUATION_SET))
        own = tf.fill(tf.shape(examples), features.OWN_SET)
        evaluation_set = tf.where(row[features.EVALUATION_SET] == "", own, row[features.EVALUATION_SET])
        picture, place = tf.unique(row[features.IMAGE])
        image = tf.gather(self._embed_image(picture), place)
        indices = self._right_classes(evaluation_set, tfrecords.parse_class_names(examples))
        unit = tf.one_hot([0], image.shape[-1])
        token_ids = self.tokenizer(row[features.CAPTION])
        apart = self._objective().logits(unit, tf.concat([unit, -unit], axis=0))
        scale, bias = (apart[0, 0] - apart[0, 1]) / 2, (apart[0, 0] + apart[0, 1]) / 2
        return {
            "image_embedding": image,
            "text_embedding": self._embed_text(token_ids),
            "caption": row[features.CAPTION],
            "picture": tfrecords.parse_picture_ids(examples),
            "evaluation_set": evaluation_set,
            "class_similarity": self._class_similarity(image, evaluation_set),
            "class_index": indices[:, 0],
            "class_indices": indices,
            "logit_scale": tf.fill(tf.shape(examples), scale),
            "logit_bias": tf.fill(tf.shape(examples), bias),
            **self._pointed(examples, row[features.IMAGE], token_ids),
            **self._keywords(picture, place, token_ids),
        }

    def signatures(self) -> Signatures:
        """All signatures, by name."""
        return {
            "embed_image": self.embed_image,
            "embed_text": self.embed_text,
            "serving_default": self.zero_shot,
            "evaluate": self.evaluate,
            **{CLASSIFY + name: self.classify(name) for name in self._label_sets},
            **{
                name: further.served(one, self._further[name], self._prepared, self.tokenizer.pieces)
                for name, one in self._signatures.items()
            },
        }

    def call(self, signature: str, **inputs: tf.Tensor | Sequence[str] | Sequence[bytes]) -> dict[str, np.ndarray]:
        """Calls a signature in this process, without a SavedModel; as `beam.exported_model.ExportedModel.call`."""
        tensors = {name: tf.convert_to_tensor(values, tf.string) for name, values in inputs.items()}
        return {name: value.numpy() for name, value in self._traced()[signature](**tensors).items()}

    def _right_classes(self, evaluation_set: tf.Tensor, names: tf.RaggedTensor) -> tf.Tensor:
        """Strings [N], strings [N, (classes)] -> int32 [N, M], -1 where the row's set has no such label."""
        if not self._label_sets:
            return tf.fill([tf.shape(evaluation_set)[0], 1], -1)
        keys = tf.strings.join([tf.gather(evaluation_set, names.value_rowids()), names.values], separator="\0")
        return names.with_values(self._class_index.lookup(keys)).to_tensor(default_value=-1)

    def _class_similarity(self, image: tf.Tensor, evaluation_set: tf.Tensor) -> tf.Tensor:
        width = widest(self._label_sets)
        similarity = tf.fill([tf.shape(image)[0], width], -float("inf"))
        for name, one in self._label_sets.items():
            padding = [[0, 0], [0, width - len(one.labels)]]
            own = tf.pad(image @ tf.transpose(tf.constant(one.embedding)), padding, constant_values=-float("inf"))
            similarity = tf.where((evaluation_set == name)[:, None], own, similarity)
        return similarity

    def _pointed(self, examples: tf.Tensor, image_bytes: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        boxes = tfrecords.parse_boxes(examples)
        localize = self._further.get(pointing.SIGNATURE)
        if localize is None:
            return pointing.unknown(boxes) | {pointing.BOX: boxes}

        def heat(rows: tf.Tensor) -> tf.Tensor:
            pixels = self._prepared(IMAGE_BYTES, tf.gather(image_bytes, rows))
            return localize(pixels, tf.gather(token_ids, rows))[pointing.HEAT]

        return pointing.outputs(boxes, image_bytes, self._objective().config.image_input, heat)

    def _keywords(self, picture: tf.Tensor, place: tf.Tensor, token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        told = self._further.get(keywords.SIGNATURE)
        if told is None:
            return {}
        found = told(self._prepared(IMAGE_BYTES, picture))
        by_row = {name: tf.gather(value, place) for name, value in found.items()}
        return keywords.outputs(by_row, token_ids, self.tokenizer.text_ids(), self.tokenizer.vocabulary_size)

    def _probabilities(self, image: tf.Tensor, text: tf.Tensor) -> dict[str, tf.Tensor]:
        logit = self._objective().logits(image, text)
        return {"probability": tf.sigmoid(logit), "logit": logit}

    def _image_tower(self, image_bytes: tf.Tensor) -> tf.Tensor:
        with self._read():
            return self._objective().embed_image(self._prepared(IMAGE_BYTES, image_bytes))

    def _prepared(self, name: str, values: tf.Tensor) -> tf.Tensor:
        """Encoded pictures -> pixels, or texts -> token ids."""
        if name == IMAGE_BYTES:
            return images.decode_batch(values, self._objective().config.image_input)
        return self.tokenizer.served(values)

    def _text_tower(self, token_ids: tf.Tensor) -> tf.Tensor:
        with self._read():
            return self._objective().embed_text(token_ids)


def folder_bytes(folder: str) -> int:
    """The total size of all files below a folder, in bytes."""
    walked = tf.io.gfile.walk(folder)
    return sum(tf.io.gfile.stat(os.path.join(parent, name)).length for parent, _, names in walked for name in names)


def label_counts(path: str) -> dict[str, int]:
    """{name: number of labels} of the label sets in the SavedModel at `path`."""
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

    assets.extra/config.gin holds the operative gin; assets.extra/labels/NAME.json holds each label set with its
    embeddings.

    Args:
      objective: the trained objective.
      tokenizer: turns text into token ids.
      gin_text: the gin that describes the objective.
      path: a folder.
      label_sets: {name: label set}. Each gets a signature classify_NAME; `evaluate` scores the labels of a set for the
        rows of the evaluation set with the same name.
      weights: one of compression.DTYPES.
    """
    label_sets = label_sets or {}
    served = ServedModel(objective, tokenizer, label_sets, weights)
    extra = {GIN_FILE: gin_text} | {f"{LABELS_FOLDER}/{name}.json": one.to_json() for name, one in label_sets.items()}
    with WholeFolder(path) as unfinished:
        tf.saved_model.save(served, unfinished, signatures=served.signatures())
        for name, text in extra.items():
            write_text(os.path.join(unfinished, EXTRA, name), text)
