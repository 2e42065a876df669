"""Floating-point operations of the towers' forward pass, counted as two for a multiply-add, matrix products only."""

from models import settings


def transformer(config: settings.TransformerSettings, tokens: int) -> float:
    """Of all encoder blocks on one sequence: projections, attention and MLP."""
    projections = 2 * tokens * (4 * config.width * config.width + 2 * config.width * config.mlp_dim)
    attention = 2 * 2 * tokens * tokens * config.width
    return float(config.depth * (projections + attention))


def image_tower(config: settings.ImageTowerSettings) -> float:
    """Of one image: patches, encoder and, where there is one, the MAP head."""
    tokens, width = config.patches, config.width
    patches = 2 * tokens * config.patch**2 * 3 * width
    if config.pooling != "map":
        return patches + transformer(config, tokens + (config.pooling == "cls"))
    keys_and_values = 2 * tokens * 2 * width * width
    probe = 2 * (2 * width * width + 2 * tokens * width + 2 * width * config.mlp_dim)
    return patches + transformer(config, tokens) + keys_and_values + probe


def text_tower(config: settings.TextTowerSettings, embedding_dim: int) -> float:
    """Of one text: encoder and head, and the projection of bottlenecked embeddings."""
    encoder = transformer(config, config.length) + 2 * config.length * config.bottleneck * config.width
    return encoder + 2 * config.width * embedding_dim


def train_step(forward: float, batch_size: int, embedding_dim: int) -> float:
    """Of a whole step: forward and backward pass of the towers, and the three products of the loss's b x b blocks.

    What rematerialisation computes again is not counted: model FLOPs, as usual for MFU (arXiv 2204.02311, appendix B).
    """
    return batch_size * (3 * forward + 6.0 * batch_size * embedding_dim)
