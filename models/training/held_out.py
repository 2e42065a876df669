"""Scores the weights on held-out rows during training: retrieval recall, and the logits of both kinds of pairs."""

import dataclasses
import time
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from models import features
from models.distribution.strategies import Distribution
from models.evaluation import retrieval
from models.inputs import images, tfrecords
from models.inputs.tokenizer import Tokenizer
from models.objectives import Objective


@dataclasses.dataclass(frozen=True)
class HeldOutResult:
    """The metrics of the held-out rows at one step.

    Attributes:
      metrics: recall from image to text and from text to image, and mean logits of positive and negative pairs.
      histograms: all logits of positive pairs, and all of negative pairs.
      seconds: time taken.
    """

    metrics: dict[str, float]
    histograms: dict[str, np.ndarray]
    seconds: float

    @property
    def score(self) -> float:
        """The mean recall over both directions and all depths; the best checkpoint has the highest score."""
        return _mean_recall(self.metrics)


class HeldOut:
    """A fixed batch: the first rows of a split, in the order of the shards, which is the order of a hash."""

    def __init__(
        self, patterns: list[str], tokenizer: Tokenizer, objective: Objective, distribution: Distribution, rows: int
    ) -> None:
        """Reads the rows and decodes their pictures, once.

        Args:
          patterns: patterns of the shards of the split.
          tokenizer: turns captions into token ids.
          objective: the objective to score.
          distribution: the devices. Every replica embeds all rows, so that no replica has a shorter batch.
          rows: number of rows; a smaller split gives all of its rows.
        """
        serialized = next(iter(tfrecords.read_shards(patterns).batch(rows)))
        captions = tfrecords.parse(serialized, (features.CAPTION,))[features.CAPTION]
        self._captions = captions.numpy()
        self._shown = tfrecords.parse_picture_ids(serialized).numpy()
        self._token_ids = tokenizer(captions)
        self._distribution = distribution
        dim = objective.views.image_embedding
        if dim:
            self._pictures = tfrecords.parse_embeddings(serialized, dim)
        else:
            encoded = tfrecords.parse(serialized, (features.IMAGE,))[features.IMAGE]
            self._pictures = images.decode_batch(encoded, objective.config.image_input)

        def embed(pictures: tf.Tensor, token_ids: tf.Tensor) -> tuple[tf.Tensor, ...]:
            image, text = pictures if dim else objective.embed_image(pictures), objective.embed_text(token_ids)
            return image, text, objective.logits(image, text)

        on_replica = distribution.replica_function(embed)

        @tf.function(autograph=False)
        def on_replicas(pictures: tf.Tensor, token_ids: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return distribution.strategy.run(on_replica, args=(pictures, token_ids))

        self._embed = on_replicas

    def look(self) -> HeldOutResult:
        """Embeds the rows with the current weights."""
        start = time.monotonic()
        image, text, logits = self._outputs()
        right = self._shown[:, None] == self._shown[None, :]
        positive, negative = logits[right], logits[~right]
        means = {"positive_logit": float(positive.mean()), "negative_logit": float(negative.mean())}
        recalls = self._recalls(image, text)
        histograms = {"positive_logits": positive, "negative_logits": negative}
        return HeldOutResult({**recalls, **means}, histograms, time.monotonic() - start)

    def embed(self) -> tuple[np.ndarray, np.ndarray]:
        """The embeddings of pictures and texts with the current weights, [N, D] each."""
        image, text, _ = self._outputs()
        return image, text

    def mean_recall(self, image: np.ndarray, text: np.ndarray) -> float:
        """The score that these embeddings of the rows would have."""
        return _mean_recall(self._recalls(image, text))

    def _outputs(self) -> tuple[np.ndarray, ...]:
        outputs = self._embed(self._pictures, self._token_ids)
        return tuple(self._distribution.strategy.experimental_local_results(output)[0].numpy() for output in outputs)

    def _recalls(self, image: np.ndarray, text: np.ndarray) -> dict[str, float]:
        return retrieval.recall_at_k(image, text, self._captions, self._shown)


def _mean_recall(metrics: Mapping[str, float]) -> float:
    return float(np.mean([value for name, value in metrics.items() if "recall_at" in name]))
