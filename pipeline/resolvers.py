"""Nodes that find the models of earlier runs: the baseline, and the model that training starts from."""

from tfx import v1 as tfx

from components.model_resolver import LatestOtherBlessedModelStrategy

_ID = "LastBlessedModel"


def compared(candidate: tfx.dsl.Channel, by_candidate: bool) -> tfx.dsl.Resolver:
    """Makes the node that finds the baseline, which is the last blessed model.

    Args:
      candidate: the model to compare with the baseline.
      by_candidate: whether to leave out the candidate itself. False uses TFX's own strategy, which may find the
        candidate; the compiler for Kubeflow Pipelines knows no other.
    """
    if by_candidate:
        strategy = LatestOtherBlessedModelStrategy
        return tfx.dsl.Resolver(strategy_class=strategy, candidate=candidate, **_channels()).with_id(_ID)
    return tfx.dsl.Resolver(strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy, **_channels()).with_id(_ID)


def base() -> tfx.dsl.Resolver:
    """Makes the node that finds the last blessed model, for training to start from."""
    return tfx.dsl.Resolver(strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy, **_channels()).with_id(
        "BaseModel"
    )


def _channels() -> dict[str, tfx.dsl.Channel]:
    return {
        "model": tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        "model_blessing": tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    }
