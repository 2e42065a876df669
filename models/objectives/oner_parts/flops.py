"""Counts the passes of Oner's tower, and their floating-point operations (FLOP)."""

from models import settings
from models.towers import flops

IMAGE, TEXT, PAIR = "image", "text", "pair"


def query_passes(config: settings.OnerSettings) -> list[str]:
    """The passes of one sequence that give queries of contrasts."""
    alone = [IMAGE, TEXT] if config.itc or config.xmc else []
    return alone + ([PAIR] if config.cmc else [])


def towers(config: settings.OnerSettings) -> float:
    """FLOP of all forward passes for one row. A pass of the momentum copy counts a third: it has no backward pass."""
    masked = [name for name, weight in ((IMAGE, config.mim), (TEXT, config.mlm), (PAIR, config.mmm)) if weight]
    total = sum(_sequence(config.tower, name) for name in (*query_passes(config), *masked))
    if config.cic:
        image, text = config.tower.patches, config.tower.length
        crossed = _encoder(config.tower, image, text) + _encoder(config.tower, text, image)
        total += crossed + _patch_embedding(config.tower)
    if query_passes(config) or config.cic:
        total += sum(_sequence(config.tower, name) for name in (IMAGE, TEXT)) / 3
    return total


def _sequence(tower: settings.OneTowerSettings, name: str) -> float:
    """FLOP of one pass: the embedding of patches, the encoder and the projection."""
    lengths = {IMAGE: tower.patches, TEXT: tower.length, PAIR: tower.patches + tower.length}
    return (0.0 if name == TEXT else _patch_embedding(tower)) + _encoder(tower, lengths[name])


def _patch_embedding(tower: settings.OneTowerSettings) -> float:
    return 2.0 * tower.patches * tower.patch**2 * 3 * tower.width


def _encoder(tower: settings.OneTowerSettings, tokens: int, context: int = 0) -> float:
    """FLOP of one sequence with its class token, over the tokens of another, with theirs, if there are any."""
    projection = 2 * tower.width * tower.projection_dim
    return flops.transformer(tower, 1 + tokens, context and 1 + context) + projection
