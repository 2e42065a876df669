import tensorflow as tf
import tf_keras as keras

from models.layers.keyword_votes import pieces_at, voted
from models.objectives.objective import Encoded
from models.objectives.simla_terms.term import Parts, Seen, Term, mixed
from models.objectives.two_towers import at_least_float32


class Psl(Term):
    """Pseudo-labelled keywords [P]: the image's class output tells the words that the momentum copy finds important.

    In the copy's multimodal pass, the heads of the last self-attention vote for the words that the class token looks
    at. The targets are (1 - alpha) these pieces + alpha sigmoid(the copy's prediction), over the whole vocabulary. The
    prediction is of the FULL-WIDTH class output, not of the embedding. The term is the mean over pieces and rows.
    Class token, padding, end of sentence and control pieces are never keywords.
    """

    name = "psl"

    def head(self, name: str, vocabulary_size: int) -> keras.layers.Dense | None:
        return keras.layers.Dense(vocabulary_size, name=name)

    def encode(self, seen: Seen) -> Encoded:
        logits = keyword_logits(seen.own, seen.image_tokens)
        copied = keyword_logits(seen.copy, seen.copied_image_tokens)
        pieces = pieces_at(seen.token_ids, self._keywords(seen), logits.shape[-1], logits.dtype)
        targets = mixed(pieces, tf.sigmoid(copied), seen.alpha)
        losses = tf.nn.sigmoid_cross_entropy_with_logits(targets, logits)
        return {"psl": tf.reduce_mean(losses, axis=1)}

    def _keywords(self, seen: Seen) -> tf.Tensor:
        """Bool [N, length], the places of the keywords."""
        fusion = seen.copy.fusion
        weights, _ = fusion.last_weights(fusion.embed(seen.token_ids), seen.shown, seen.copied_image_tokens)
        assert self.aids.is_word is not None, "Simla.prepare was not called"
        is_word = tf.gather(self.aids.is_word, seen.token_ids)
        votes = voted(weights[:, :, 0, 1:], is_word, self.config.votes, self.config.keywords)
        return tf.stop_gradient(votes)


def keyword_logits(parts: Parts, image_tokens: tf.Tensor) -> tf.Tensor:
    """The logit of each piece as a keyword of the picture, [N, vocabulary_size]."""
    return at_least_float32(parts.heads["psl"](at_least_float32(image_tokens[:, 0])))
