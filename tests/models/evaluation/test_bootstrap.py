"""Figures of a resample in which pictures, or all pictures of a class, are missing."""

import numpy as np

from models.evaluation import bootstrap


def test_a_resample_without_any_picture_has_no_mean_over_classes_and_one_with_a_class_has_its_share():
    figure = bootstrap.mean_over_classes(np.array([1, 0, 1]), np.array([0, 0, 1]), np.arange(3))
    found = figure(np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 2.0]]))
    np.testing.assert_array_equal(found, [np.nan, 0.5, 0.75])
