"""Training and serving decode a JPEG to the pixels that other decoders give."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from models.inputs import images
from tests.pictures import encode


@pytest.mark.parametrize("quality", [50, 95, 100])
def test_jpeg_is_decoded_as_by_pillow(quality):
    """The fast DCT, TensorFlow's default, differs by up to 80 of 255 at quality 100."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (61, 53, 3), np.uint8))
    for mode in ("RGB", "L"):
        image = encode(noise.convert(mode), "JPEG", quality=quality)
        found = images.decode(tf.constant(image)).numpy().squeeze()
        np.testing.assert_array_equal(found, np.asarray(Image.open(io.BytesIO(image))))
