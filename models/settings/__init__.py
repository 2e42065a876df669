"""What gin can tune about learning: frozen dataclasses, checked as they are made."""

from models.settings.objectives import ObjectiveSettings, SiglipSettings, SoftmaxSettings
from models.settings.optimizers import (
    AdafactorSettings,
    AdamWSettings,
    LionSettings,
    OptimizerSettings,
    ScheduleSettings,
)
from models.settings.pretrained import PretrainedSettings
from models.settings.runtime import RuntimeSettings
from models.settings.towers import ImageTowerSettings, TextTowerSettings, TransformerSettings
from models.settings.training import AugmentationSettings, CheckpointSettings, LoggingSettings, TrainingSettings

__all__ = [
    "AdafactorSettings",
    "AdamWSettings",
    "AugmentationSettings",
    "CheckpointSettings",
    "ImageTowerSettings",
    "LionSettings",
    "LoggingSettings",
    "ObjectiveSettings",
    "OptimizerSettings",
    "PretrainedSettings",
    "RuntimeSettings",
    "ScheduleSettings",
    "SiglipSettings",
    "SoftmaxSettings",
    "TextTowerSettings",
    "TrainingSettings",
    "TransformerSettings",
]
