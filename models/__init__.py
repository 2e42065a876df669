"""Learning: towers, losses, objectives, training and export (tf_keras; no Beam, and no TFX but in run_fn.py)."""

import os

# Before TensorFlow is first imported: tf.keras must be Keras 2, which is what `tf_keras` is. Keras 3 clips gradients
# before the all-reduce under TPUStrategy.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
