"""Latest blessed model, other than the candidate."""

import ml_metadata
from tfx import types
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy

CANDIDATE_KEY = "candidate"
MODEL_KEY = "model"


class LatestOtherBlessedModelStrategy(LatestBlessedModelStrategy):
    """TFX's LatestBlessedModelStrategy, leaving the candidate out.

    When nothing has changed, the candidate is the cached model of the run before. Comparing it with itself would mean
    another Evaluator input, and so another evaluation and another push of the same model, in every second run.
    """

    def resolve_artifacts(
        self, store: ml_metadata.MetadataStore, input_dict: dict[str, list[types.Artifact]]
    ) -> dict[str, list[types.Artifact]] | None:
        """Resolves "model" and "model_blessing"; "candidate" is passed through."""
        candidates = input_dict[CANDIDATE_KEY]
        known = {artifact.id for artifact in candidates}
        others = {key: list(value) for key, value in input_dict.items() if key != CANDIDATE_KEY}
        others[MODEL_KEY] = [model for model in others[MODEL_KEY] if model.id not in known]
        resolved = super().resolve_artifacts(store, others)
        return None if resolved is None else {**resolved, CANDIDATE_KEY: candidates}
