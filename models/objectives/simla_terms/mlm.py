import tensorflow as tf
import tf_keras as keras

from models.distribution.collectives import Collectives
from models.objectives.objective import SEEDS, Encoded
from models.objectives.simla_terms.term import TEXT, WORDS, Parts, Seen, Term, cross_entropy


class Mlm(Term):
    """Masked words [P], told with the picture: words of the masked text query the image tokens.

    The targets are (1 - alpha) the word + alpha the prediction of the momentum copy, which sees the same masked text.
    The term is the mean over the masked words of the whole batch.
    """

    name = "mlm"

    def head(self, name: str, vocabulary_size: int) -> keras.layers.Dense | None:
        return keras.layers.Dense(vocabulary_size, name=name)

    def encode(self, seen: Seen) -> Encoded:
        assert self.aids.words is not None, "Simla.prepare was not called"
        masked = self.aids.words.draw(seen.token_ids, seen.batch[SEEDS], WORDS)
        mask_vector = tf.convert_to_tensor(self.aids.mask_vectors[TEXT])

        def predicted(parts: Parts, image_tokens: tf.Tensor, training: bool) -> tf.Tensor:
            embeddings = parts.fusion.embed(masked.token_ids, masked.hidden, mask_vector)
            tokens = parts.fusion.multimodal(embeddings, seen.shown, image_tokens, training)
            return parts.heads[self.name](tokens[:, 1:])

        logits = predicted(seen.own, seen.image_tokens, True)
        copied = tf.stop_gradient(predicted(seen.copy, seen.copied_image_tokens, False))
        losses = cross_entropy(logits, seen.token_ids, copied, seen.alpha)
        places = tf.cast(masked.places, losses.dtype)
        return {
            "mlm": tf.reduce_sum(tf.where(masked.places, losses, 0.0), axis=1),
            "mlm_words": tf.reduce_sum(places, axis=1),
        }

    def loss(self, encoded: Encoded, collectives: Collectives) -> tf.Tensor:
        (words,) = collectives.all_reduce([tf.reduce_sum(encoded["mlm_words"])])
        return tf.reduce_sum(encoded["mlm"]) / tf.stop_gradient(tf.maximum(words, 1.0))
