import tensorflow as tf
import tf_keras as keras

from models import draws
from models.distribution.collectives import Collectives, OneDevice
from models.objectives.objective import PICTURE_IDS, SEEDS, Encoded
from models.objectives.simla_terms.itc import own_places
from models.objectives.simla_terms.term import CAPTION, IMAGE, PICTURE, TEXT, Aids, Parts, Seen, Term
from models.objectives.two_towers import at_least_float32
from models.settings import SimlaSettings

_FACTORS = (1_000_003, 92_821)  # of two hashes of a text


class Itm(Term):
    """Matching [P]: two-class cross-entropy of matching pairs, and of others that are drawn.

    For each text a picture is drawn, and for each picture a text, from the softmax of the batch's contrastive logits.
    Rows with the same caption or the same picture are never drawn. The term is the mean over the |B| matches and the
    2 |B| others, or as many others as can be drawn at all.
    """

    name = "itm"

    def __init__(self, config: SimlaSettings, aids: Aids) -> None:
        super().__init__(config, aids)
        self._parts: Parts | None = None

    def use(self, parts: Parts) -> None:
        """Names the trained layers, which `loss` applies to the pairs that it draws."""
        self._parts = parts

    def head(self, name: str, vocabulary_size: int) -> keras.layers.Dense | None:
        return keras.layers.Dense(2, name=name)

    def encode(self, seen: Seen) -> Encoded:
        logits = match_logits(seen.own, seen.token_ids, seen.image_tokens, training=True)
        return {
            "itm": _cross_entropy(logits, matching=True),
            "itm_image_tokens": seen.image_tokens,
            "itm_token_ids": seen.token_ids,
            "itm_picture_ids": seen.batch[PICTURE_IDS],
            "itm_seeds": seen.batch[SEEDS],
        }

    def loss(self, encoded: Encoded, collectives: Collectives) -> tf.Tensor:
        assert self._parts is not None
        within = collectives if self.config.negatives == "global" else OneDevice()
        ids, tokens = encoded["itm_token_ids"], encoded["itm_image_tokens"]
        picture, text, fits = self.drawn(encoded, within)
        other_tokens = tf.gather(within.all_gather(tokens), picture)
        other_ids = tf.gather(within.all_gather(ids), text)
        pairs = (tf.concat([ids, other_ids], axis=0), tf.concat([other_tokens, tokens], axis=0))
        others = _cross_entropy(match_logits(self._parts, *pairs, training=True), matching=False)
        weights = tf.tile(tf.cast(fits, others.dtype), [2])
        (drawn,) = collectives.all_reduce([tf.reduce_sum(weights)])
        count = collectives.num_replicas * ids.shape[0] + drawn
        return (tf.reduce_sum(encoded["itm"]) + tf.reduce_sum(weights * others)) / count

    def drawn(self, encoded: Encoded, within: Collectives) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Draws a pair that does not match for each text, and for each picture.

        Args:
          encoded: this replica's rows.
          within: whose rows may be drawn.

        Returns:
          For each text the place of a picture, int32 [b]; for each picture the place of a text, int32 [b]; and whether
          there was any to draw, bool [b].
        """
        ids, seeds = encoded["itm_token_ids"], encoded["itm_seeds"]
        allowed = tf.logical_not(_same(encoded, within))
        chosen = []
        for own, other, number in ((TEXT, IMAGE, PICTURE), (IMAGE, TEXT, CAPTION)):
            logits = tf.zeros(allowed.shape, tf.float32)
            if self.config.itc:
                keys = within.all_gather(encoded[f"{other}_key"])
                products = tf.matmul(tf.stop_gradient(encoded[own]), keys, transpose_b=True)
                logits = products / tf.cast(self.aids.temperature, products.dtype)
            chosen.append(draws.choices(draws.streams(seeds, number), tf.ensure_shape(logits, allowed.shape), allowed))
        assert ids.shape[0] == chosen[0].shape[0]
        return chosen[0], chosen[1], tf.reduce_any(allowed, axis=1)


def match_logits(parts: Parts, token_ids: tf.Tensor, image_tokens: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Logits of "no match" and "match" of pairs, [N, 2], from the class output of the multimodal pass."""
    fusion = parts.fusion
    tokens = fusion.multimodal(fusion.embed(token_ids), fusion.seen(token_ids), image_tokens, training)
    return at_least_float32(parts.heads["itm"](at_least_float32(tokens[:, 0])))


def _cross_entropy(logits: tf.Tensor, matching: bool) -> tf.Tensor:
    labels = tf.fill([logits.shape[0]], int(matching))
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def _same(encoded: Encoded, within: Collectives) -> tf.Tensor:
    """Bool [b, rows of `within`]: the row itself, and rows with the same caption or picture."""
    ids, pictures = encoded["itm_token_ids"], encoded["itm_picture_ids"]
    places = own_places(ids.shape[0], within)
    rows = within.num_replicas * ids.shape[0]
    same = places[:, None] == tf.range(rows)
    same = tf.logical_or(same, pictures[:, None] == within.all_gather(pictures))
    hashes = tf.stack([_hashed(ids, factor) for factor in _FACTORS], axis=1)
    same_text = tf.reduce_all(hashes[:, None] == within.all_gather(hashes), axis=2)
    return tf.ensure_shape(tf.logical_or(same, same_text), [ids.shape[0], rows])


def _hashed(token_ids: tf.Tensor, factor: int) -> tf.Tensor:
    """A hash of each text, int32 [N]; with two of them, other texts share both with a probability of 2^-62."""
    total = tf.zeros_like(token_ids[:, 0])
    for place in range(token_ids.shape[1]):
        total = total * factor + token_ids[:, place]  # int32 wraps around
    return total
