"""From raw text to token ids, inside the graph (SentencePiece by tensorflow-text), so that serving cannot drift."""

import tensorflow as tf
import tensorflow_text as tf_text

PAD_ID = 1
EOS_ID = 0
UNKNOWN_ID = 2


class Tokenizer(tf.Module):
    """string [N] -> int32 [N, length]: lower-cased, cut to length - 1 pieces, one end of sentence always, padded.

    The text is always padded to the full length: the text tower pools its last position (SigLIP, section 4).

    Make it after the random seed is set: TensorFlow frees the resources of eager ops when a seed is set.
    """

    def __init__(self, model_path: str, length: int) -> None:
        """Reads a SentencePiece model whose ids are the ones of this module (VocabularyTrainer makes such a model).

        Raises:
          ValueError: the model gives "pad" or "end of sentence" another id.
        """
        super().__init__(name="tokenizer")
        with tf.io.gfile.GFile(model_path, "rb") as file:
            model = file.read()
        self.length = length
        self.asset = tf.saved_model.Asset(model_path)
        self._pieces = tf_text.SentencepieceTokenizer(model=model, out_type=tf.int32, add_bos=False, add_eos=False)
        self.vocabulary_size = int(self._pieces.vocab_size())
        ids = self._pieces.string_to_id(["<pad>", "</s>"]).numpy().tolist()
        if ids != [PAD_ID, EOS_ID]:
            raise ValueError(
                f"{model_path}: ids of <pad> and </s> are {ids}, but must be {[PAD_ID, EOS_ID]}; "
                "train the vocabulary with VocabularyTrainer, or with pad_id=1 and eos_id=0"
            )

    def __call__(self, text: tf.Tensor) -> tf.Tensor:
        pieces = self._pieces.tokenize(tf.strings.lower(text, encoding="utf-8"))[:, : self.length - 1]
        ends = tf.fill([tf.size(text), 1], EOS_ID)
        ids = tf.concat([pieces, ends], axis=1).to_tensor(default_value=PAD_ID, shape=[None, self.length])
        return tf.ensure_shape(ids, [None, self.length])
