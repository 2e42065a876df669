"""Fixtures that several packages' tests share."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import models  # noqa: F401, I001  (first: it chooses Keras 2)
import pytest
from PIL import Image

from tests.pictures import encode


@pytest.fixture(scope="session")
def red_png() -> bytes:
    return encode(Image.new("RGB", (40, 30), (255, 0, 0)))
