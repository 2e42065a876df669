"""Counts floating-point operations (FLOP) of the towers: matrix products only, two FLOP for a multiply-add."""

from models import settings


def transformer(config: settings.TransformerSettings, tokens: int, context: int = 0) -> float:
    """FLOP of the forward pass of all encoder blocks on one sequence: projections, attention and MLP.

    Args:
      config: sizes of the encoder.
      tokens: length of the sequence. Masked keys count: a mask saves no product.
      context: length of the other sequence that keys and values come from; 0 if they come from the sequence itself.
    """
    keys = context or tokens
    projections = 2 * tokens * (2 * config.width * config.width + 2 * config.width * config.mlp_dim)
    keys_and_values = 2 * keys * 2 * config.width * config.width
    attention = 2 * 2 * tokens * keys * config.width
    return float(config.depth * (projections + keys_and_values + attention))


def image_tower(config: settings.ImageTowerSettings) -> float:
    """FLOP of the forward pass of one picture: patches, encoder and, with the pooling "map", the MAP head."""
    tokens, width = config.patches, config.width
    patches = 2 * tokens * config.patch**2 * 3 * width
    if config.pooling != "map":
        return patches + transformer(config, tokens + (config.pooling == "cls"))
    keys_and_values = 2 * tokens * 2 * width * width
    probe = 2 * (2 * width * width + 2 * tokens * width + 2 * width * config.mlp_dim)
    return patches + transformer(config, tokens) + keys_and_values + probe


def text_tower(config: settings.TextTowerSettings, embedding_dim: int) -> float:
    """FLOP of the forward pass of one text: encoder, head, and the projection of bottlenecked embeddings."""
    encoder = transformer(config, config.length) + 2 * config.length * config.bottleneck * config.width
    return encoder + 2 * config.width * embedding_dim


def train_step(forward: float, batch_size: int, embedding_dim: int) -> float:
    """FLOP of a whole step: forward and backward pass of the towers, and the three products of the loss's blocks.

    Rematerialisation does not count: these are model FLOP, as usual for MFU (arXiv 2204.02311, appendix B).
    """
    return batch_size * (3 * forward + 6.0 * batch_size * embedding_dim)
