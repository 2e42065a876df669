"""The image tower, the text tower, and the transformer that both use."""
