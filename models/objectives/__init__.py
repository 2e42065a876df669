"""Training objectives: the one extension point. A new one is a settings class, a module here, and a line below."""

from models import settings
from models.objectives.objective import Objective
from models.objectives.siglip import Siglip

_OBJECTIVES = {settings.SiglipSettings: Siglip}


def create(config: settings.SiglipSettings, vocabulary_size: int) -> Objective:
    """Makes the objective that the settings belong to, with all its variables."""
    objective = _OBJECTIVES[type(config)](config, vocabulary_size)
    objective.build()
    return objective
