"""Nodes that find the models of earlier runs: the baseline, and the model that training starts from."""

from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
from tfx.types import standard_artifacts
from tfx.types.channel import Channel

from components.model_resolver import LatestOtherBlessedModelStrategy

_ID = "LastBlessedModel"


def compared(candidate: Channel, by_candidate: bool) -> Resolver:
    """Makes the node that finds the baseline, which is the last blessed model.

    Args:
      candidate: the model to compare with the baseline.
      by_candidate: whether to leave out the candidate itself. False uses TFX's own strategy, which may find the
        candidate; the compiler for Kubeflow Pipelines knows no other.
    """
    if by_candidate:
        strategy = LatestOtherBlessedModelStrategy
        return Resolver(strategy_class=strategy, candidate=candidate, **_channels()).with_id(_ID)
    return Resolver(strategy_class=LatestBlessedModelStrategy, **_channels()).with_id(_ID)


def base() -> Resolver:
    """Makes the node that finds the last blessed model, for training to start from."""
    return Resolver(strategy_class=LatestBlessedModelStrategy, **_channels()).with_id("BaseModel")


def _channels() -> dict[str, Channel]:
    return {
        "model": Channel(type=standard_artifacts.Model),
        "model_blessing": Channel(type=standard_artifacts.ModelBlessing),
    }
