"""Where TFX finds our artifact types on Kubeflow Pipelines: there, the name of a type is the path it is imported by."""

from components.artifacts import DataReport, RunReport, Vocabulary

__all__ = ["DataReport", "RunReport", "Vocabulary"]
