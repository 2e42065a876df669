"""Training objectives.

A new objective is a settings class (models/settings/objectives.py), a class that implements `Objective` (objective.py),
and a call of `register`, below or in your own code.
"""

from collections.abc import Callable, Mapping
from typing import Any

from models import settings
from models.objectives.clip_rocket import ClipRocket
from models.objectives.objective import KnowsRun, Objective, Run
from models.objectives.oner import Oner
from models.objectives.siglip import Siglip
from models.objectives.siglit import Siglit
from models.objectives.simla import Simla
from models.objectives.softmax import Softmax
from models.towers.precision import layers_compute_in

__all__ = ["Objective", "Run", "create", "register", "registered"]

_OBJECTIVES: dict[type[settings.ObjectiveSettings], Callable[..., Objective]] = {}


def register(settings_class: type[settings.ObjectiveSettings], objective_class: Callable[..., Objective]) -> None:
    """Makes an objective known to `create`.

    Args:
      settings_class: what gin fills; decorate it with `@settings_class("Name")` to make `@Name()` known to gin.
      objective_class: called with an instance of `settings_class`, the size of the vocabulary, and what
        the backward pass computes again (Runtime.remat).

    Raises:
      ValueError: `settings_class` is no ObjectiveSettings, or has another objective already.
    """
    name, objective_name = _name(settings_class), _name(objective_class)
    if not (isinstance(settings_class, type) and issubclass(settings_class, settings.ObjectiveSettings)):
        raise ValueError(f"{name} is no subclass of models.settings.ObjectiveSettings; derive it from that class")
    known = _OBJECTIVES.setdefault(settings_class, objective_class)
    if known is not objective_class:
        raise ValueError(f"{name} is registered for {_name(known)} already; give {objective_name} its own settings")


def registered() -> Mapping[type[settings.ObjectiveSettings], Callable[..., Objective]]:
    """A copy of what `register` knows: {settings class: objective class}."""
    return dict(_OBJECTIVES)


def create(
    config: settings.ObjectiveSettings,
    vocabulary_size: int,
    runtime: settings.RuntimeSettings | None = None,
    run: Run | None = None,
) -> Objective:
    """Makes the objective of these settings, with all its variables; call it in the strategy's scope.

    Args:
      config: settings of the objective.
      vocabulary_size: number of pieces.
      runtime: precision, and what the backward pass computes again; None takes the defaults.
      run: facts of the training run, for an objective that needs them to train; None makes it for other uses.

    Raises:
      ValueError: no objective is registered for the class of the settings.
    """
    runtime = runtime or settings.RuntimeSettings()
    if type(config) not in _OBJECTIVES:
        known = ", ".join(sorted(one.__name__ for one in _OBJECTIVES))
        raise ValueError(
            f"{type(config).__name__} has no objective (registered: {known}); call models.objectives.register first"
        )
    with layers_compute_in(runtime.compute_dtype):
        objective = _OBJECTIVES[type(config)](config, vocabulary_size, runtime.remat)
        objective.build()
    if run is not None and isinstance(objective, KnowsRun):
        objective.prepare(run)
    return objective


def _name(given: Any) -> str:
    return getattr(given, "__name__", repr(given))


register(settings.ClipRocketSettings, ClipRocket)
register(settings.OnerSettings, Oner)
register(settings.SiglipSettings, Siglip)
register(settings.SiglitSettings, Siglit)
register(settings.SimlaSettings, Simla)
register(settings.SoftmaxSettings, Softmax)
