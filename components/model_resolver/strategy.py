"""A strategy of TFX's Resolver: the latest blessed model that is not the candidate."""

import ml_metadata
from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy

from components.declaration import Artifacts

CANDIDATE_KEY = "candidate"
MODEL_KEY = "model"


class LatestOtherBlessedModelStrategy(LatestBlessedModelStrategy):
    """TFX's LatestBlessedModelStrategy without the candidate.

    When nothing has changed, the candidate is the cached model of the last run. A comparison of that model with itself
    would change the Evaluator's input, so that every second run would evaluate and push the same model again.
    """

    def resolve_artifacts(self, store: ml_metadata.MetadataStore, input_dict: Artifacts) -> Artifacts | None:
        """Resolves "model" and "model_blessing", and passes "candidate" through."""
        candidates = input_dict[CANDIDATE_KEY]
        known = {artifact.id for artifact in candidates}
        others = {key: list(value) for key, value in input_dict.items() if key != CANDIDATE_KEY}
        others[MODEL_KEY] = [model for model in others[MODEL_KEY] if model.id not in known]
        resolved = super().resolve_artifacts(store, others)
        return None if resolved is None else {**resolved, CANDIDATE_KEY: candidates}
