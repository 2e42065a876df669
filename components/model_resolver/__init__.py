"""The strategy of TFX's Resolver that finds the model to compare a candidate with."""

from components.model_resolver.strategy import LatestOtherBlessedModelStrategy

__all__ = ["LatestOtherBlessedModelStrategy"]
