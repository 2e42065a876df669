"""The VocabularyTrainer component."""

from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from components import artifacts
from components.declaration import Component
from components.vocabulary_trainer import executor


class VocabularyTrainer(Component):
    """Trains a SentencePiece unigram vocabulary on the lower-cased captions of the train split, or copies one.

    Output: `vocabulary` (Vocabulary).

    Args:
      examples: Examples with a train split.
      settings: gin text of VocabularySettings.
      base_model: Model whose vocabulary is copied, if there is such a model yet.
    """

    examples: InputArtifact[standard_artifacts.Examples]
    settings: Parameter[str]
    base_model: InputArtifact[standard_artifacts.Model] = None

    OUTPUTS = {"vocabulary": artifacts.Vocabulary}
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
