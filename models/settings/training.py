"""Settings of a training run."""

from models.settings.augmentation import AugmentationSettings
from models.settings.checks import label, require, require_at_least_zero, require_positive, settings_class
from models.settings.corruption import CorruptionSettings
from models.settings.objectives import ObjectiveSettings, SiglipSettings, TwoTowersSettings, precomputed_tower
from models.settings.optimizers import AdamWSettings, OptimizerSettings, ScheduleSettings
from models.settings.pretrained import EmbeddingSettings, PretrainedSettings
from models.settings.runtime import RuntimeSettings


@settings_class("Checkpoint")
class CheckpointSettings:
    """When training saves its state, and how many checkpoints it keeps.

    Attributes:
      every: steps between two checkpoints. A killed process loses at most these steps. Training also writes one at the
        end, and when it is asked to stop.
      keep: number of newest checkpoints to keep, in addition to the best one on the held-out rows. Lower it if the disk
        is small.
    """

    every: int = 500
    keep: int = 2

    def __post_init__(self) -> None:
        require_positive(self, "every", "keep")


@settings_class("Logging")
class LoggingSettings:
    """When training logs, and when it scores the held-out rows.

    Attributes:
      every: steps between two rows of the log.
      held_out_every: steps between two scorings of the held-out rows. 0 never scores them.
      held_out_rows: number of held-out rows to score, the first of the eval split. Fewer take less time and memory.
      false_negatives: logs how many other rows of the batch share a row's class (the stored feature class_name). The
        loss takes their texts for wrong ones. Switch it on where several pictures show one concept.
    """

    every: int = 20
    held_out_every: int = 400
    held_out_rows: int = 256
    false_negatives: bool = False

    def __post_init__(self) -> None:
        require_positive(self, "every", "held_out_rows")
        require_at_least_zero(self, "held_out_every", fix="0 never scores the held-out rows")


@settings_class("Training")
class TrainingSettings:
    """One training run.

    Attributes:
      objective: the objective to train, such as @Siglip(), @Siglit() or @Softmax().
      pretrained: the checkpoint to start from, @Pretrained(). None draws all weights at random.
      optimizer: the optimiser, such as @AdamW(), @Lion() or @Adafactor().
      schedule: the learning rate at each step.
      runtime: devices, precision and compilation.
      augmentation: random changes of pictures, drawn again at each visit.
      corruption: noise in pictures, captions and pairs, @Corruption(), for studies. None adds no noise.
      checkpoint: when to save the state, and how many checkpoints to keep.
      logging: when to log, and when to score the held-out rows.
      steps: number of optimiser steps. 0 exports the untrained model.
      batch_size: pairs in a step, over all replicas (|B|). Larger batches have more negatives, and need more memory.
      micro_batches: number of parts in which a replica embeds its share of the batch, one after the other. 1 does not
        split. Raise it if activations do not fit into memory; the gradient is still that of the whole batch.
      shuffle_buffer: rows that each reader shuffles at a time. More shuffles better and takes more memory; best is all
        rows.
      shards_at_once: number of shards that are read side by side into that buffer.
      cache: keeps every decoded picture in memory (size x size x 3 bytes each), so that later passes do not decode.
        Captions are kept as text. Set it if all pictures fit.
      seed: seed of the weights, the order of the data and the augmentation.
      max_loss: largest loss. Training stops with an error if the loss rises above it.
      profile_steps: first and last step of a TensorBoard profile, such as (20, 25). () profiles none.
    """

    objective: ObjectiveSettings = SiglipSettings()
    pretrained: PretrainedSettings | None = None
    optimizer: OptimizerSettings = AdamWSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    corruption: CorruptionSettings | None = None
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
        self.objective.require_batch(self.batch_size)
        self._require_for_objective()
        require(
            self.batch_size % self.micro_batches == 0,
            "Training.micro_batches",
            self.micro_batches,
            f"a divisor of Training.batch_size ({self.batch_size})",
            "change either",
        )
        replicas = len(self.runtime.devices) if self.runtime.strategy == "mirrored" else 0  # 0: known when it starts
        shares = replicas * self.micro_batches
        require(
            not shares or self.batch_size % shares == 0,
            "Training.batch_size",
            self.batch_size,
            f"a multiple of {shares}: {replicas} replicas x {self.micro_batches} micro-batches",
            f"try {max(1, self.batch_size // shares) * shares if shares else 0}",
        )
        ramps = self.schedule.warmup_steps + self.schedule.cooldown_steps
        require(
            not self.steps or ramps <= self.steps,
            "Schedule.warmup_steps",
            self.schedule.warmup_steps,
            f"at most Training.steps ({self.steps}) less Schedule.cooldown_steps ({self.schedule.cooldown_steps})",
            "lower it or raise Training.steps, so that the learning rate reaches its peak",
        )
        first_and_last = self.profile_steps
        require(
            not first_and_last or (len(first_and_last) == 2 and 0 <= first_and_last[0] <= first_and_last[1]),
            "Training.profile_steps",
            first_and_last,
            "() or a first and a last step",
            "use such as (20, 25)",
        )

    def _require_for_objective(self) -> None:
        """Raises ValueError if the objective cannot train from this start, or on these changes of its rows."""
        parts = self.pretrained.parts if self.pretrained else ()
        missing = [tower for tower in self.objective.locked if tower not in parts]
        require(
            not missing,
            "Pretrained.parts",
            parts,
            f"with {', '.join(missing)}, because {label(self.objective, '').rstrip('.')} never trains it",
            "set Training.pretrained = @Pretrained() and Pretrained.path",
        )
        require(
            precomputed_tower(self.objective) is None or self.augmentation == AugmentationSettings(),
            "Training.augmentation",
            self.augmentation,
            "off, because embeddings are of whole pictures",
            f"set {label(self.objective, 'precomputed')} = False, or remove the augmentation",
        )
        towers = self.objective
        if isinstance(towers, TwoTowersSettings) and not towers.drops_out:
            require(
                not towers.text_tower.dropout,
                "TextTower.dropout",
                towers.text_tower.dropout,
                "0, unless a view of texts asks for it",
                "set it to 0, or TextAugmentation.dropout = True in a view of @ClipRocket()",
            )
        if self.augmentation.source_size:
            self.augmentation.require_fits(self.objective.image_input.size)
        noise = self.corruption or CorruptionSettings()
        require(
            not noise.image or precomputed_tower(self.objective) is None,
            "Corruption.image",
            noise.image,
            "0, because training reads embeddings in place of pictures",
            f"set {label(self.objective, 'precomputed')} = False, or remove the noise",
        )
        require(
            not noise.text or self.objective.text_input.length > 1,
            "Corruption.text",
            noise.text,
            "0 for texts of one token, which is the end of sentence",
            "set it to 0, or raise the length of texts",
        )

    @property
    def embedding(self) -> EmbeddingSettings | None:
        """Settings of ImageEmbedder; None unless it computes the embeddings of a locked tower before training."""
        tower = precomputed_tower(self.objective)
        if tower is None or self.pretrained is None:
            return None
        return EmbeddingSettings(tower, self.pretrained, self.runtime.compute_dtype)
