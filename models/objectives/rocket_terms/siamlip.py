from typing import TypeVar

import tensorflow as tf

from models.distribution.collectives import Collectives
from models.objectives.rocket_terms.term import IMAGE, MODALITIES, TEXT, Rows, Term, unit
from models.settings import SiamlipSettings

Settings = TypeVar("Settings", bound=SiamlipSettings)


class Predicting(Term[Settings]):
    """What SiamLIP and BYOLIP share: a predictor p of each modality predicts the target v of the other modality.

    The term is the mean of 2 - 2 cos(p, v) over the rows, over both directions, and over the global pair and all n x n
    local pairs. Targets get no gradient. A projector and a predictor for each modality serve both kinds of views; the
    projector ends in batch normalisation without scale and offset.
    """

    def build(self) -> None:
        self._projectors = self.mlps("projector", self.config.projector, "plain")
        self._predictors = self.mlps("predictor", self.config.predictor, "none", self.config.projector[-1])

    def loss(self, rows: Rows, collectives: Collectives) -> tf.Tensor:
        projected, predicted = {}, {}
        for m in MODALITIES:
            projected[m], _ = self._projectors[m].of_batch(rows.features[m], collectives)
            predicted[m], _ = self._predictors[m].of_batch(projected[m], collectives)
            predicted[m] = unit(tf.cast(predicted[m], rows.features[m].dtype))
        targets = self.targets(rows, projected, collectives)
        targets = {m: tf.stop_gradient(unit(tf.cast(v, rows.features[m].dtype))) for m, v in targets.items()}
        cosine = tf.zeros([], predicted[IMAGE].dtype)
        for image, text in rows.pairs:
            cosine += tf.reduce_sum(predicted[IMAGE][image] * targets[TEXT][text])
            cosine += tf.reduce_sum(predicted[TEXT][text] * targets[IMAGE][image])
        count = 2 * len(rows.pairs) * collectives.num_replicas * predicted[IMAGE].shape[1]
        return 2.0 / collectives.num_replicas - 2.0 * cosine / count

    def targets(self, rows: Rows, projected: dict[str, tf.Tensor], collectives: Collectives) -> dict[str, tf.Tensor]:
        """{IMAGE or TEXT: v}, [1 + n, b, D], before normalisation."""
        raise NotImplementedError


class Siamlip(Predicting[SiamlipSettings]):
    """SiamLIP [P]: the targets are the projections of the other modality."""

    name = "siamlip"

    def targets(self, rows: Rows, projected: dict[str, tf.Tensor], collectives: Collectives) -> dict[str, tf.Tensor]:
        return projected
