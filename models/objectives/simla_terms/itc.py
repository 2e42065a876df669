import tensorflow as tf

from models.distribution.collectives import Collectives
from models.losses.softmax import one_way_softmax_loss
from models.objectives.objective import Encoded
from models.objectives.simla_terms.term import IMAGE, MODALITIES, TEXT, Parts, Seen, Term, mixed
from models.objectives.two_towers import at_least_float32, normalized


class Itc(Term):
    """Contrast of picture and text [P]: mean of both directions, with keys of the momentum copy and a queue.

    For pictures, the logits are q_I . [k_T of the whole batch; text queue] / temperature, and the targets are
    (1 - alpha) one-hot + alpha softmax(k_I . [the same keys] / temperature). For texts, the mirror.
    """

    name = "itc"

    def encode(self, seen: Seen) -> Encoded:
        own = embeddings(seen.own, seen.image_tokens, seen.own.fusion(seen.token_ids, training=True))
        keys = embeddings(seen.copy, seen.copied_image_tokens, seen.copy.fusion(seen.token_ids))
        return own | {f"{m}_key": tf.stop_gradient(key) for m, key in keys.items()}

    def loss(self, encoded: Encoded, collectives: Collectives) -> tf.Tensor:
        assert self.aids.queues is not None
        queues = {IMAGE: self.aids.queues.image, TEXT: self.aids.queues.text}
        temperature = tf.convert_to_tensor(self.aids.temperature)
        total = tf.zeros([], encoded[IMAGE].dtype)
        for own, other in ((IMAGE, TEXT), (TEXT, IMAGE)):
            queue = tf.cast(queues[other].read_value(), encoded[own].dtype)
            keys = encoded[f"{other}_key"]
            targets = self._targets(encoded[f"{own}_key"], keys, queue, self.aids.alpha(), collectives)
            total += one_way_softmax_loss(
                encoded[own], keys, -tf.math.log(temperature), collectives,
                targets=targets, queue=queue, keys_learn=False,
            )  # fmt: skip
        return total / 2.0

    def _targets(
        self, own: tf.Tensor, keys: tf.Tensor, queue: tf.Tensor, alpha: tf.Tensor, collectives: Collectives
    ) -> tf.Tensor:
        """[b, |B| + Q], from keys of both modalities."""
        every_key = tf.concat([collectives.all_gather(keys), queue], axis=0)
        logits = tf.matmul(own, every_key, transpose_b=True) / tf.cast(self.aids.temperature, own.dtype)
        count = collectives.num_replicas * own.shape[0] + queue.shape[0]
        hard = tf.one_hot(own_places(own.shape[0], collectives), count, dtype=own.dtype)
        return mixed(hard, tf.nn.softmax(logits), alpha)


def embeddings(parts: Parts, image_tokens: tf.Tensor, text_tokens: tf.Tensor) -> Encoded:
    """{IMAGE or TEXT: unit-norm [N, D]} of the class outputs."""
    tokens = {IMAGE: image_tokens, TEXT: text_tokens}
    return {m: normalized(parts.projections[m](at_least_float32(tokens[m][:, 0]))) for m in MODALITIES}


def own_places(rows: int, collectives: Collectives) -> tf.Tensor:
    """The places of this replica's rows in the whole batch, int32 [b]."""
    return collectives.replica_id() * rows + tf.range(rows)
