"""One training run, and all that hangs on it."""

from models.settings.augmentation import AugmentationSettings
from models.settings.checks import label, require, require_at_least_zero, require_positive, settings_class
from models.settings.objectives import ObjectiveSettings, SiglipSettings, precomputed_tower
from models.settings.optimizers import AdamWSettings, OptimizerSettings, ScheduleSettings
from models.settings.pretrained import PretrainedSettings
from models.settings.runtime import RuntimeSettings


@settings_class("Checkpoint")
class CheckpointSettings:
    """What survives when the process does not.

    Attributes:
      every: steps between two checkpoints; one is also written at the end, and when the process is asked to stop.
      keep: newest checkpoints kept, besides the one that was best on the held-out rows.
    """

    every: int = 500
    keep: int = 2

    def __post_init__(self) -> None:
        require_positive(self, "every", "keep")


@settings_class("Logging")
class LoggingSettings:
    """What is written down while training.

    Attributes:
      every: steps between two lines of the log.
      held_out_every: steps between two looks at held-out rows; 0 never looks.
      held_out_rows: rows of the eval split that are looked at.
    """

    every: int = 20
    held_out_every: int = 400
    held_out_rows: int = 256

    def __post_init__(self) -> None:
        require_positive(self, "every", "held_out_rows")
        require_at_least_zero(self, "held_out_every", fix="0 never looks")


@settings_class("Training")
class TrainingSettings:
    """One training run.

    Attributes:
      objective: settings of the objective to train, such as @Siglip().
      pretrained: a checkpoint to start from, such as @Pretrained(); None draws all weights.
      optimizer: settings of the optimiser, such as @AdamW().
      schedule: the learning rate over the steps.
      runtime: devices, precision and compilation.
      augmentation: what happens to a picture at each visit.
      checkpoint: how often the state is saved, and how much is kept.
      logging: what is written down.
      steps: optimiser steps; 0 exports the untrained model.
      batch_size: pairs in a step, over all replicas (|B|).
      micro_batches: parts that each replica's share of the batch is embedded in, one after the other, for batches whose
        activations do not fit; the gradient is that of the whole batch.
      shuffle_buffer: rows held to draw batches from; the whole set is best where it fits.
      shards_at_once: shards read side by side, into that buffer.
      cache: keep every decoded picture in memory (size x size x 3 bytes each), so that later passes decode nothing.
      seed: of the weights, the order of the data and the augmentation.
      max_loss: a loss above it counts as exploded and stops training.
      profile_steps: first and last step of a TensorBoard profile; empty takes none.
    """

    objective: ObjectiveSettings = SiglipSettings()
    pretrained: PretrainedSettings | None = None
    optimizer: OptimizerSettings = AdamWSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    logging: LoggingSettings = LoggingSettings()
    steps: int = 1000
    batch_size: int = 256
    micro_batches: int = 1
    shuffle_buffer: int = 4096
    shards_at_once: int = 16
    cache: bool = False
    seed: int = 0
    max_loss: float = 1000.0
    profile_steps: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require_positive(self, "batch_size", "micro_batches", "shuffle_buffer", "shards_at_once", "max_loss")
        require_at_least_zero(self, "steps", fix="0 exports the untrained model")
        require(self.batch_size >= 2, "Training.batch_size", self.batch_size, "2 or more", "a pair needs a negative")
        require(
            self.batch_size % self.micro_batches == 0,
            "Training.micro_batches",
            self.micro_batches,
            f"a divisor of Training.batch_size ({self.batch_size})",
            "change either",
        )
        parts = self.pretrained.parts if self.pretrained else ()
        missing = [tower for tower in self.objective.locked if tower not in parts]
        require(
            not missing,
            "Pretrained.parts",
            parts,
            f"with {', '.join(missing)}, which {label(self.objective, '').rstrip('.')} never trains",
            "set Training.pretrained = @Pretrained() and Pretrained.path",
        )
        require(
            precomputed_tower(self.objective) is None or self.augmentation == AugmentationSettings(),
            "Training.augmentation",
            self.augmentation,
            "off: embeddings are of whole pictures",
            f"set {label(self.objective, 'precomputed')} = False, or remove the augmentation",
        )
        ramps = self.schedule.warmup_steps + self.schedule.cooldown_steps
        require(
            not self.steps or ramps <= self.steps,
            "Schedule.warmup_steps",
            self.schedule.warmup_steps,
            f"at most Training.steps ({self.steps}) less Schedule.cooldown_steps ({self.schedule.cooldown_steps})",
            "lower it, or train for longer: the learning rate would never reach its peak",
        )
        first_and_last = self.profile_steps
        require(
            not first_and_last or (len(first_and_last) == 2 and 0 <= first_and_last[0] <= first_and_last[1]),
            "Training.profile_steps",
            first_and_last,
            "empty, or a first and a last step",
            "use such as (20, 25)",
        )
