"""Training objectives: the one extension point. A new one is a settings class, a module here, and a line below."""

from models import settings
from models.objectives.objective import Objective
from models.objectives.siglip import Siglip
from models.objectives.siglit import Siglit
from models.objectives.softmax import Softmax
from models.towers.precision import layers_compute_in

__all__ = ["Objective", "create"]

_OBJECTIVES = {
    settings.SiglipSettings: Siglip,
    settings.SiglitSettings: Siglit,
    settings.SoftmaxSettings: Softmax,
}


def create(
    config: settings.ObjectiveSettings, vocabulary_size: int, runtime: settings.RuntimeSettings | None = None
) -> Objective:
    """Makes the objective that the settings belong to, with all its variables; call it in the strategy's scope."""
    runtime = runtime or settings.RuntimeSettings()
    with layers_compute_in(runtime.compute_dtype):
        objective = _OBJECTIVES[type(config)](config, vocabulary_size, runtime.remat)
        objective.build()
    return objective
