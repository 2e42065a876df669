import tensorflow as tf
import tf_keras as keras

from models import draws
from models.layers.block_masks import block_masks
from models.layers.visual_codes import described, nearest
from models.objectives.objective import IMAGES, SEEDS, Encoded
from models.objectives.simla_terms.term import BLOCKS, IMAGE, Parts, Seen, Term, cross_entropy


class Mim(Term):
    """Masked patches [P], told with the words: tokens of the masked picture query the EMBEDDINGS of the words.

    The target of a patch is its visual code. Codes are of the same pixels that the image tower sees. The momentum copy
    sees the same masked picture; its predictions are mixed into the targets as in mlm. The term is the mean over the
    masked patches, of which each row has as many.
    """

    name = "mim"

    def head(self, name: str, vocabulary_size: int) -> keras.layers.Dense | None:
        return keras.layers.Dense(self.config.visual_codebook.codes, name=name)

    def encode(self, seen: Seen) -> Encoded:
        config, tower = self.config, self.config.image_tower
        images = seen.batch[IMAGES]
        side, count = tower.size // tower.patch, config.patches_to_mask
        mask = block_masks(draws.streams(seen.batch[SEEDS], BLOCKS), side, count, config.smallest_block)
        places = tf.argsort(tf.cast(mask, tf.int32), axis=1, direction="DESCENDING", stable=True)[:, :count]
        mask_vector = tf.convert_to_tensor(self.aids.mask_vectors[IMAGE])

        def predicted(parts: Parts, training: bool) -> tf.Tensor:
            fusion = parts.fusion
            tokens = parts.image_tower.tokens(images, training, mask, mask_vector)
            told = fusion.reverse(tokens, fusion.embed(seen.token_ids), seen.shown, training)
            return parts.heads[self.name](tf.gather(told[:, 1:], places, batch_dims=1))

        codes = self._codes(images, places)
        losses = cross_entropy(
            predicted(seen.own, True), codes, tf.stop_gradient(predicted(seen.copy, False)), seen.alpha
        )
        return {"mim": tf.reduce_mean(losses, axis=1)}

    def _codes(self, images: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
        """The codes of patches [N, M] of the pictures that the image tower sees, int32 [N, M]."""
        centres = tf.convert_to_tensor(self.aids.centres)
        vectors = described(tf.cast(images, centres.dtype), self.config.image_tower.patch)
        return tf.stop_gradient(nearest(tf.gather(vectors, places, batch_dims=1), centres))
