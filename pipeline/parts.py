"""What the parts of the DAG hand to each other (pipeline.py)."""

import dataclasses

from tfx.dsl.components.base.base_node import BaseNode
from tfx.types.channel import Channel

from components.evaluation_suite.component import EvaluationSuite


@dataclasses.dataclass(frozen=True)
class Data:
    """The data components and their outputs.

    Attributes:
      examples: Examples, without duplicates if there is a Deduper.
      schema: Schema of their text features.
      anomalies: ExampleAnomalies of ExampleValidator.
      checked: the component that fails if there are too few rows; what takes long waits for it.
      rows: DataReport of the component that wrote the examples.
      suite: the component that collects the evaluation sets.
      reports: {input of RunReport: DataReport}.
      nodes: the other components, in the order in which they run.
    """

    examples: Channel
    schema: Channel
    anomalies: Channel
    checked: BaseNode
    rows: Channel
    suite: EvaluationSuite
    reports: dict[str, Channel]
    nodes: list[BaseNode | None]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What training reads, and the components that make it.

    Attributes:
      examples: Examples with variants and embeddings. Only the Trainer reads these.
      vocabulary: a SentencePiece vocabulary.
      reports: {input of RunReport: DataReport}.
      codebook: a VisualCodebook, or None.
      base: the node that finds the model of an earlier run, or None.
      base_model: the model to start training from, or None.
      nodes: the components, in the order in which they run.
    """

    examples: Channel
    vocabulary: Channel
    codebook: Channel | None
    reports: dict[str, Channel]
    base: BaseNode | None
    base_model: Channel | None
    nodes: list[BaseNode | None]
