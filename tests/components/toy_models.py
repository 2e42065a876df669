"""Models of a few operations; each breaks the SavedModel contract in one way."""

import tensorflow as tf

from models.inputs import images
from tests.tiny_model import OBJECTIVE

COLOURS = ["red", "green", "blue"]


class ToyModel(tf.Module):
    """Gives every picture and every text the embedding [1, 0] and keeps the contract; each subclass has one fault."""

    def signatures(self) -> dict:
        strings = tf.TensorSpec([None], tf.string)
        return {
            "embed_image": tf.function(lambda image_bytes: {"image_embedding": self.image(image_bytes)}, [strings]),
            "embed_text": tf.function(lambda text: {"text_embedding": self.text(text)}, [strings]),
            "serving_default": tf.function(self.zero_shot, [strings, strings]),
            "classify_colours": tf.function(self.classify, [strings]),
        }

    def classify(self, image_bytes):
        return self.zero_shot(image_bytes, tf.constant(COLOURS))

    def zero_shot(self, image_bytes, labels):
        logit = self.image(image_bytes) @ tf.transpose(self.text(labels))
        return {"probability": tf.sigmoid(logit), "logit": logit}

    def image(self, image_bytes):
        with tf.control_dependencies([images.decode_batch(image_bytes, OBJECTIVE.image_tower)]):
            return self.unit(image_bytes)

    def text(self, text):
        return self.unit(text)

    @staticmethod
    def unit(rows):
        return tf.one_hot(tf.zeros_like(rows, tf.int32), 2)


class UnsureModel(ToyModel):
    """Answers NaN for one label of its label set."""

    def classify(self, image_bytes):
        answer = super().classify(image_bytes)
        probability = answer["probability"]
        return answer | {"probability": tf.concat([probability[:, 1:], probability[:, :1] * float("nan")], axis=1)}


class NarrowModel(ToyModel):
    """Chooses among fewer labels than its label set has."""

    def classify(self, image_bytes):
        return self.zero_shot(image_bytes, tf.constant(COLOURS[1:]))


class SlowModel(ToyModel):
    """Takes `seconds` for a request with pictures, on any machine."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def image(self, image_bytes):
        end = tf.timestamp() + self.seconds
        waited = tf.while_loop(lambda _: tf.timestamp() < end, lambda turns: [turns + 1], [0])
        with tf.control_dependencies(waited):
            return super().image(image_bytes)


class LeakingModel(ToyModel):
    """Keeps `floats` more floats with every request that has pictures."""

    def __init__(self, floats: int) -> None:
        super().__init__()
        self.floats = floats
        self.kept = tf.Variable(tf.ones([1]), shape=[None])

    def image(self, image_bytes):
        grown = self.kept.assign(tf.concat([self.kept, tf.ones([self.floats])], axis=0), read_value=False)
        with tf.control_dependencies([grown]):
            return super().image(image_bytes)


class GreedyModel(LeakingModel):
    """Allocates `floats` floats with the first request that has pictures, and keeps them."""

    def image(self, image_bytes):
        rows = tf.size(image_bytes) * 0 + self.floats  # the server would fold a constant as it loads
        kept = self.kept.assign(tf.fill([rows], 1.0), read_value=False)
        with tf.control_dependencies([kept]):
            return ToyModel.image(self, image_bytes)


class NanModel(ToyModel):
    """Answers NaN for one row of the texts."""

    def __init__(self, row: int) -> None:
        super().__init__()
        self.row = row

    def text(self, text):
        wrong = tf.range(tf.size(text)) == self.row
        return tf.where(wrong[:, None], float("nan"), self.unit(text))


class LongModel(ToyModel):
    """Gives picture embeddings of length 2."""

    def image(self, image_bytes):
        return 2 * super().image(image_bytes)


class BlindModel(ToyModel):
    """Embeds bytes that are no picture."""

    def image(self, image_bytes):
        return self.unit(image_bytes)


class FaultyModel(ToyModel):
    """Keeps the contract, but one signature answers wrongly under one condition.

    Attributes:
      broken: the signature.
      condition: "request": from the request `number` on; "row": in the row `number`; "size": if the request has
        `number` rows; "together": while another request is answered.
      wrong: "nan", or "other" for a valid answer that is another one.
    """

    def __init__(self, broken: str, condition: str, wrong: str, number: int = 0) -> None:
        super().__init__()
        self.broken, self.condition, self.wrong, self.number = broken, condition, wrong, number
        self.requests, self.at_once = tf.Variable(0), tf.Variable(0)

    def signatures(self) -> dict:
        right = super().signatures()
        answer = right[self.broken]

        def zero_shot(image_bytes, labels):
            return self.spoil(answer(image_bytes, labels), image_bytes)

        def embed_text(text):
            return self.spoil(answer(text), text)

        def pictures(image_bytes):
            return self.spoil(answer(image_bytes), image_bytes)

        strings = tf.TensorSpec([None], tf.string)
        known = {"serving_default": (zero_shot, [strings, strings]), "embed_text": (embed_text, [strings])}
        function, inputs = known.get(self.broken, (pictures, [strings]))
        return right | {self.broken: tf.function(function, inputs)}

    def spoil(self, answer, rows):
        count = tf.size(rows)
        if self.condition == "row":
            bad = tf.range(count) == self.number
        elif self.condition == "size":
            bad = tf.fill([count], count == self.number)
        elif self.condition == "request":
            bad = tf.fill([count], self.requests.assign_add(1) >= self.number)
        else:
            bad = tf.fill([count], self.is_together())
        return {name: tf.where(bad[:, None], self.other(value), value) for name, value in answer.items()}

    def is_together(self):
        with tf.control_dependencies([self.at_once.assign_add(1, read_value=False)]):
            end = tf.timestamp() + 0.05
            waited = tf.while_loop(lambda _: tf.timestamp() < end, lambda turns: [turns + 1], [0])
        with tf.control_dependencies(waited):
            others = self.at_once.read_value() > 1
        with tf.control_dependencies([others]):
            left = self.at_once.assign_sub(1, read_value=False)
        with tf.control_dependencies([left]):
            return tf.identity(others)

    def other(self, value):
        if self.wrong == "nan":
            return value * float("nan")
        return value[:, ::-1] if self.broken.startswith("embed") else value * 0.5
