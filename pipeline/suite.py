"""Reduces the evaluation sets to the settings that EvaluationSuite, ModelPackager and Evaluator each depend on.

A component runs again if its settings change. So EvaluationSuite does not read its sources again for a new template.
"""

import dataclasses

from beam.evaluation_sets import EvaluationSetSettings, EvaluationSuiteSettings
from pipeline.settings.run import PipelineSettings


def read(settings: PipelineSettings) -> EvaluationSuiteSettings:
    """The settings of EvaluationSuite: the sets without what only their evaluation needs."""
    usual = EvaluationSetSettings()
    sets = settings.all_evaluation_sets
    return EvaluationSuiteSettings(
        tuple(
            dataclasses.replace(one, templates=usual.templates, retrieval=usual.retrieval, fitted_on="") for one in sets
        )
    )


def classified(settings: PipelineSettings) -> EvaluationSuiteSettings:
    """The settings that ModelPackager embeds classes by: names, classes and templates of the sets."""
    sets = settings.all_evaluation_sets
    return EvaluationSuiteSettings(
        tuple(EvaluationSetSettings(one.name, classes=one.classes, templates=one.templates) for one in sets)
    )


def not_retrieved(settings: PipelineSettings) -> list[str]:
    """Names of the sets without retrieval metrics, for the Evaluator."""
    return [one.name for one in settings.all_evaluation_sets if not one.retrieval]
