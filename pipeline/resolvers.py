"""Models of earlier runs: which to compare with, and which to start from."""

from tfx import v1 as tfx

from components.model_resolver import LatestOtherBlessedModelStrategy

_ID = "LastBlessedModel"


def compared(candidate: tfx.dsl.Channel, by_candidate: bool) -> tfx.dsl.Resolver:
    """The model to compare the candidate with: the last blessed one, other than the candidate.

    The compiler for Kubeflow Pipelines knows TFX's own strategies only, which may find the candidate itself: that is
    `by_candidate` False.
    """
    if by_candidate:
        strategy = LatestOtherBlessedModelStrategy
        return tfx.dsl.Resolver(strategy_class=strategy, candidate=candidate, **_channels()).with_id(_ID)
    return tfx.dsl.Resolver(strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy, **_channels()).with_id(_ID)


def base() -> tfx.dsl.Resolver:
    """The model to start from: the last blessed one."""
    return tfx.dsl.Resolver(strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy, **_channels()).with_id(
        "BaseModel"
    )


def _channels() -> dict[str, tfx.dsl.Channel]:
    return {
        "model": tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        "model_blessing": tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    }
