"""The VocabularyTrainer component."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, channel, component_spec, standard_artifacts, standard_component_specs

from components import artifacts
from components.vocabulary_trainer import executor


class VocabularyTrainerSpec(component_spec.ComponentSpec):
    """Examples in, a Vocabulary out."""

    PARAMETERS = {
        executor.PATH_KEY: component_spec.ExecutionParameter(type=str),
        executor.SHA256_KEY: component_spec.ExecutionParameter(type=str),
        executor.SIZE_KEY: component_spec.ExecutionParameter(type=int),
        executor.SENTENCES_KEY: component_spec.ExecutionParameter(type=int),
        executor.SEED_KEY: component_spec.ExecutionParameter(type=int),
    }
    INPUTS = {
        standard_component_specs.EXAMPLES_KEY: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        standard_component_specs.BASE_MODEL_KEY: component_spec.ChannelParameter(
            type=standard_artifacts.Model, optional=True
        ),
    }
    OUTPUTS = {executor.VOCABULARY_KEY: component_spec.ChannelParameter(type=artifacts.Vocabulary)}


class VocabularyTrainer(base_component.BaseComponent):
    """Trains a SentencePiece unigram vocabulary on the lower-cased captions of the train split, or takes one."""

    SPEC_CLASS = VocabularyTrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: BaseChannel,
        path: str,
        sha256: str,
        size: int,
        max_sentences: int,
        seed: int,
        base_model: BaseChannel | None = None,
    ) -> None:
        """Makes the component.

        Args:
          examples: Examples with a train split.
          path: of a SentencePiece model that is used as it is, or "" to train one.
          sha256: of that file, so that another file is never served from cache.
          size: pieces; small corpora may give fewer.
          max_sentences: captions drawn at most.
          seed: of the draw.
          base_model: Model whose vocabulary is used as it is, if there is one yet.
        """
        super().__init__(
            spec=VocabularyTrainerSpec(
                **{
                    standard_component_specs.EXAMPLES_KEY: examples,
                    **({standard_component_specs.BASE_MODEL_KEY: base_model} if base_model else {}),
                    executor.PATH_KEY: path,
                    executor.SHA256_KEY: sha256,
                    executor.SIZE_KEY: size,
                    executor.SENTENCES_KEY: max_sentences,
                    executor.SEED_KEY: seed,
                    executor.VOCABULARY_KEY: channel.Channel(type=artifacts.Vocabulary),
                }
            )
        )
