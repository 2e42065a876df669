"""Settings of learning: frozen dataclasses that gin fills, and that check their values when they are made."""

from models.settings.augmentation import AugmentationSettings
from models.settings.clip_rocket import ClipRocketSettings
from models.settings.corruption import CorruptionSettings
from models.settings.objectives import (
    NegativesSettings,
    ObjectiveSettings,
    SiglipSettings,
    SiglitSettings,
    SoftmaxSettings,
    TwoTowersSettings,
    precomputed_tower,
)
from models.settings.oner import OnerSettings, OneTowerSettings
from models.settings.optimizers import (
    AdafactorSettings,
    AdamWSettings,
    LionSettings,
    OptimizerSettings,
    ScheduleSettings,
)
from models.settings.preparation import ImageInput, TextInput
from models.settings.pretrained import EmbeddingSettings, PretrainedSettings
from models.settings.runtime import RuntimeSettings
from models.settings.simla import SimlaSettings
from models.settings.terms import (
    BarlipSettings,
    ByolipSettings,
    SiamlipSettings,
    SwalipSettings,
    TermSettings,
)
from models.settings.towers import ImageTowerSettings, TextTowerSettings, TransformerSettings
from models.settings.training import CheckpointSettings, LoggingSettings, TrainingSettings
from models.settings.visual_codebook import VisualCodebookSettings, VisualCodesSettings, visual_codes

__all__ = [
    "AdafactorSettings",
    "AdamWSettings",
    "AugmentationSettings",
    "BarlipSettings",
    "ByolipSettings",
    "CheckpointSettings",
    "ClipRocketSettings",
    "CorruptionSettings",
    "EmbeddingSettings",
    "ImageInput",
    "ImageTowerSettings",
    "LionSettings",
    "LoggingSettings",
    "NegativesSettings",
    "ObjectiveSettings",
    "OneTowerSettings",
    "OnerSettings",
    "OptimizerSettings",
    "PretrainedSettings",
    "RuntimeSettings",
    "ScheduleSettings",
    "SiamlipSettings",
    "SiglipSettings",
    "SiglitSettings",
    "SimlaSettings",
    "SoftmaxSettings",
    "SwalipSettings",
    "TermSettings",
    "TextInput",
    "TextTowerSettings",
    "TrainingSettings",
    "TransformerSettings",
    "TwoTowersSettings",
    "VisualCodebookSettings",
    "VisualCodesSettings",
    "precomputed_tower",
    "visual_codes",
]
