"""Thumbnails show pictures upright."""

import base64
import io

import pytest
from PIL import Image

from beam import thumbnails
from tests.beam.filters.test_pictures import with_orientation


@pytest.mark.parametrize(("orientation", "size"), [(1, (96, 48)), (6, (48, 96))])
def test_a_photograph_is_shown_upright(orientation, size):
    address = thumbnails.data_address(with_orientation(Image.new("RGB", (200, 100)), orientation))
    assert Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).size == size
