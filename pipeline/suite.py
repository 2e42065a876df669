"""What EvaluationSuite, ModelPackager and Evaluator each take of the evaluation sets: no more than they depend on.

A component runs again when what it takes has changed, so that another template reads no source again.
"""

import dataclasses

from beam.evaluation_sets import EvaluationSetSettings, EvaluationSuiteSettings
from pipeline.settings.run import PipelineSettings


def read(settings: PipelineSettings) -> EvaluationSuiteSettings:
    """The sets as EvaluationSuite reads them, without templates."""
    usual = EvaluationSetSettings()
    sets = settings.all_evaluation_sets
    return EvaluationSuiteSettings(
        tuple(dataclasses.replace(one, templates=usual.templates, retrieval=usual.retrieval) for one in sets)
    )


def classified(settings: PipelineSettings) -> EvaluationSuiteSettings:
    """The sets as ModelPackager embeds their classes: names, classes and templates."""
    sets = settings.all_evaluation_sets
    return EvaluationSuiteSettings(
        tuple(EvaluationSetSettings(one.name, classes=one.classes, templates=one.templates) for one in sets)
    )


def not_retrieved(settings: PipelineSettings) -> list[str]:
    """Names of the sets that have no retrieval metrics."""
    return [one.name for one in settings.all_evaluation_sets if not one.retrieval]
