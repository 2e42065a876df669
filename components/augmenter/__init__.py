"""Augmenter: Examples -> Examples with variants of the rows that are trained on."""
