"""Some models of these tests read the clock. Op determinism, which training switches on, forbids that."""

import pytest
from tensorflow.python.framework import config


@pytest.fixture(autouse=True)
def _clock_is_allowed():
    config.disable_op_determinism()
