"""The RunReport component."""

from tfx.dsl.component.experimental.annotations import InputArtifact, Parameter
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts

from components import artifacts
from components.declaration import Component
from components.run_report import executor


class RunReport(Component):
    """Writes report.html and summary.json about everything the run made, whether the model is blessed or not.

    Output: `report` (RunReport). The inputs are the run's artifacts; it has no dedupe_report without a Deduper, no
    augment_report without an Augmenter, and no visual_codebook without a VisualCodebook.

    Args:
      gin: the resolved gin of the whole run.
      steps: training steps of this run, which replace those of the gin text.
      image_text_gen: gin text of this run's ImageTextGenSettings, which replace those of the gin text.
      training: gin text of TrainingSettings.
      settings: gin text of ReportSettings.
    """

    examples: InputArtifact[standard_artifacts.Examples]
    image_text_gen_report: InputArtifact[artifacts.DataReport]
    suite: InputArtifact[standard_artifacts.Examples]
    suite_report: InputArtifact[artifacts.DataReport]
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies]
    vocabulary: InputArtifact[artifacts.Vocabulary]
    model: InputArtifact[standard_artifacts.Model]
    model_run: InputArtifact[standard_artifacts.ModelRun]
    evaluation: InputArtifact[standard_artifacts.ModelEvaluation]
    model_blessing: InputArtifact[standard_artifacts.ModelBlessing]
    infra_blessing: InputArtifact[standard_artifacts.InfraBlessing]
    pushed_model: InputArtifact[standard_artifacts.PushedModel]
    gin: Parameter[str]
    steps: Parameter[int]
    image_text_gen: Parameter[str]
    training: Parameter[str]
    settings: Parameter[str]
    dedupe_report: InputArtifact[artifacts.DataReport] = None
    augment_report: InputArtifact[artifacts.DataReport] = None
    visual_codebook: InputArtifact[artifacts.VisualCodebook] = None

    OUTPUTS = {"report": artifacts.RunReport}
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
