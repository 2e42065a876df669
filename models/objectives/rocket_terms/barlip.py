import tensorflow as tf

from models.distribution.collectives import Collectives
from models.losses.redundancy import redundancy_loss
from models.objectives.rocket_terms.term import IMAGE, MODALITIES, TEXT, Rows, Term
from models.settings import BarlipSettings


class Barlip(Term[BarlipSettings]):
    """BarLIP [P]: pictures and texts agree in each channel, and channels are not redundant.

    A projector for each modality, shared by both kinds of views, ends in batch normalisation. The term is the mean of
    `redundancy_loss` over the global pair and all n x n local pairs.
    """

    name = "barlip"

    def build(self) -> None:
        self._projectors = self.mlps("projector", self.config.projector, "affine")

    def loss(self, rows: Rows, collectives: Collectives) -> tf.Tensor:
        z = {m: self._projectors[m].of_batch(rows.features[m], collectives)[0] for m in MODALITIES}
        z = {m: tf.cast(value, rows.features[m].dtype) for m, value in z.items()}
        total = tf.zeros([], z[IMAGE].dtype)
        for image, text in rows.pairs:
            total += redundancy_loss(z[IMAGE][image], z[TEXT][text], self.config.redundancy, collectives)
        return total / len(rows.pairs)
