from collections.abc import Mapping, Sequence

import tensorflow as tf

from models.distribution.collectives import Collectives
from models.layers.mlp import Mlp
from models.layers.momentum import MomentumCopy
from models.objectives.objective import Encoded
from models.objectives.rocket_terms.siamlip import Predicting
from models.objectives.rocket_terms.term import MODALITIES, Rows
from models.objectives.two_towers import encode_views
from models.settings import ByolipSettings
from models.towers import flops


class Byolip(Predicting[ByolipSettings]):
    """BYOLIP [P]: SiamLIP whose targets come from a momentum copy of both towers and projectors.

    The copy has weights only: its batch normalisation takes the statistics of the batch. It runs as in evaluation.
    """

    name = "byolip"

    def build(self) -> None:
        super().build()
        copied = {m: self._towers.copy(m, f"{self.name}_momentum_{m}_tower") for m in MODALITIES}
        self._layers += copied.values()
        self._momentum_towers = copied
        self._momentum_projectors: dict[str, Mlp] = self.mlps("momentum_projector", self.config.projector, "plain")
        towers = [(self._towers.trained[m], copied[m]) for m in MODALITIES]
        projectors = [(self._projectors[m], self._momentum_projectors[m]) for m in MODALITIES]
        self._copy = MomentumCopy([*towers, *projectors], self.config.momentum)
        self.start()

    @property
    def state(self) -> list[tf.Variable]:
        return self._copy.variables

    def start(self) -> None:
        self._copy.start()

    def encode(self, views: Mapping[str, Sequence[tf.Tensor]]) -> Encoded:
        return {
            f"{self.name}_{m}": tf.stop_gradient(encode_views(self._momentum_towers[m], views[m], training=False))
            for m in MODALITIES
        }

    def targets(self, rows: Rows, projected: dict[str, tf.Tensor], collectives: Collectives) -> dict[str, tf.Tensor]:
        features = {m: tf.transpose(rows.encoded[f"{self.name}_{m}"], [1, 0, 2]) for m in MODALITIES}
        return {m: self._momentum_projectors[m].of_batch(features[m], collectives)[0] for m in MODALITIES}

    def after_update(self) -> None:
        self._copy.move()

    def flops(self) -> float:
        image, text = (self._towers.trained[m].config for m in MODALITIES)
        copies = flops.image_tower(image) + flops.text_tower(text, self._towers.width)
        return super().flops() + copies / 3  # a copy has no backward pass, which takes two thirds of a step
