"""A look at rows that are not trained on, every so many steps: is retrieval getting better, are the logits apart?"""

import dataclasses
import time

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
    """What one look shows.

    Attributes:
      metrics: recall both ways, and the mean logit of positive and negative pairs.
      histograms: all logits, by kind.
      seconds: what it took.
    """

    metrics: dict[str, float]
    histograms: dict[str, np.ndarray]
    seconds: float

    @property
    def score(self) -> float:
        """What the best checkpoint is chosen by: mean recall over directions and depths."""
        return float(np.mean([value for name, value in self.metrics.items() if "recall_at" in name]))


class HeldOut:
    """A fixed batch, the first rows of a split: in the shards' order, which is that of a hash."""

    def __init__(
        self, patterns: list[str], tokenizer: Tokenizer, objective: Objective, distribution: Distribution, rows: int
    ) -> None:
        """Reads the rows and decodes their pictures, once.

        Args:
          patterns: shards of the split.
          tokenizer: makes the token ids.
          objective: embeds.
          distribution: every replica embeds all rows, so that no collective waits for a short batch.
          rows: how many, where there are as many.
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
        """Embeds the rows with the weights of now."""
        start = time.monotonic()
        outputs = self._embed(self._pictures, self._token_ids)
        image, text, logits = (
            self._distribution.strategy.experimental_local_results(output)[0].numpy() for output in outputs
        )
        right = self._shown[:, None] == self._shown[None, :]
        positive, negative = logits[right], logits[~right]
        means = {"positive_logit": float(positive.mean()), "negative_logit": float(negative.mean())}
        recalls = retrieval.recall_at_k(image, text, self._captions, self._shown)
        histograms = {"positive_logits": positive, "negative_logits": negative}
        return HeldOutResult({**recalls, **means}, histograms, time.monotonic() - start)
