"""TFMA metrics of image-text models, and the evaluation configuration that uses them."""
